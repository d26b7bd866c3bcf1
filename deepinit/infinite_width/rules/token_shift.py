"""Token shifts at infinite width: kernels P K P^T, means P m, of a fixed matrix P on positions."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.token_shift import TokenShift
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State, absorbed, linear_map


@INFINITE.rule(TokenShift)
def _shift(layer: TokenShift, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth, path
    count = shape.num_positions
    matrix = (1 - layer.share) * jnp.eye(count) + layer.share * jnp.eye(count, k=-1)
    shifted = lambda block: matrix @ block @ matrix.T
    return linear_map(absorbed(state), shifted, mean=state.mean @ matrix.T)
