"""Flatten: kernels of vectors are means over positions."""

from typing import Any

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.pooling import Flatten
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, State, absorbed, on_ntk


@INFINITE.rule(Flatten)
def _flatten(layer: Flatten, state: State, shape: Shape, depth: int, path: str) -> State:
    del layer, shape, depth, path
    mean = state.mean.mean(-1, keepdims=True)
    over = _mean if state.aligned else _mean_of_diagonal
    state = absorbed(state)
    cross, within = (
        Kernel(over(part.cov), on_ntk(over, part.ntk)) for part in (state.cross, state.within)
    )
    return state.replace(cross=cross, within=within, mean=mean, gaussian=False, aligned=False)


def _mean(block: Any) -> Any:
    return jnp.mean(block, axis=-1)[..., None, None]


def _mean_of_diagonal(block: Any) -> Any:
    return jnp.trace(block, axis1=-2, axis2=-1)[..., None, None] / block.shape[-1]
