"""Dropout: entries of one mask grow by 1 / (1 - rate)."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.neuronwise import Dropout
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import (
    Kernel,
    State,
    absorbed,
    each_block,
    equal_rows,
    on_ntk,
)


@INFINITE.rule(Dropout)
def _dropout(layer: Dropout, state: State, shape: Shape, depth: int, path: str) -> State:
    del shape, depth, path
    if not layer.rate:
        return state
    of_inputs, within = equal_rows(state)
    masks = (within if layer.shared else of_inputs, within)

    def dropped(kernel: Kernel) -> Kernel:
        is_one_mask = masks[0] if kernel.cov.ndim == 4 else masks[1]
        factor = jnp.where(is_one_mask, 1.0 / (1.0 - layer.rate), 1.0)
        return Kernel(factor * kernel.cov, on_ntk(lambda ntk: factor * ntk, kernel.ntk))

    return each_block(absorbed(state), dropped, gaussian=False)
