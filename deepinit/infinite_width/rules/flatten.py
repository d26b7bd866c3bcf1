"""Flatten: kernels of vectors are means over positions."""

from typing import Any

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.pooling import Flatten
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State, absorbed, linear_map


@INFINITE.rule(Flatten)
def _flatten(layer: Flatten, state: State, shape: Shape, depth: int, path: str) -> State:
    del layer, shape, depth, path
    mean = state.mean.mean(-1, keepdims=True)
    return linear_map(absorbed(state), _mean_of_diagonal, gaussian=False, mean=mean)


def _mean_of_diagonal(block: Any) -> Any:
    return jnp.trace(block, axis1=-2, axis2=-1)[..., None, None] / block.shape[-1]
