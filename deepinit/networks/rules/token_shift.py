"""Row rule of token shifts: a fixed matrix on positions."""

import jax
import jax.numpy as jnp

from deepinit.core.layers import Shape
from deepinit.core.layers.token_shift import TokenShift
from deepinit.networks.interpreter import ROWS
from deepinit.networks.row_map import row_map


def shifted(layer: TokenShift, shape: Shape, x: jax.Array, log_scale: jax.Array) -> jax.Array:
    """The layer, linear in x."""
    del log_scale
    rows = x.reshape(shape.num_positions, -1)
    before = jnp.pad(rows, ((1, 0), (0, 0)))[:-1]
    return ((1 - layer.share) * rows + layer.share * before).ravel()


def _difference(
    layer: TokenShift, shape: Shape, x: jax.Array, dx: jax.Array, log_scale: jax.Array
) -> jax.Array:
    del x
    return shifted(layer, shape, dx, log_scale)


ROWS.rule(TokenShift)(row_map(shifted, _difference, keeps_scale=True))
