"""Dropout: entries of one mask grow by 1 / (1 - rate)."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.neuronwise import Dropout
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, State, absorbed, each_block, equal_rows, on_ntk


@INFINITE.rule(Dropout)
def _dropout(layer: Dropout, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth, path
    if not layer.rate:
        return state

    eye = jnp.ones((), bool) if state.aligned else jnp.eye(shape.num_positions, dtype=bool)
    if not layer.shared:
        state = state.replace(same=state.one)

    def dropped(kernel: Kernel) -> Kernel:
        one_mask = eye if layer.shared else equal_rows(state, kernel.cov)
        factor = jnp.where(one_mask, 1.0 / (1.0 - layer.rate), 1.0)
        return Kernel(factor * kernel.cov, on_ntk(lambda ntk: factor * ntk, kernel.ntk))

    return each_block(absorbed(state), dropped, gaussian=False)
