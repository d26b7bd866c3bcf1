"""Learned vectors of positions: R + v on pairs of one position."""

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Positions
from deepinit.core.layers.layer import Shape, refuse
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import entries
from deepinit.theory.layers.rules.residual import add
from deepinit.theory.layers.rules_table import FIRST_ORDER, entry_variance
from deepinit.theory.layers.state import Pending, State, num_rows
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Positions)
def _positions(
    layer: Positions, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    if layer.kind == "sinusoidal":
        given = "sinusoidal positions, at order 1/width"
        raise refuse(path, layer, given, "kind='learned'", "Take learned ones, or simulate.")
    where, position = entries(num_rows(state)), np.arange(num_rows(state)) % shape.num_positions
    same = position[where.rows] == position[where.columns]
    variance = entry_variance(layer, "law", 1, depth, path) * jnp.asarray(same, float)
    return add(state, Pending(variance, shape.width or 1, ColumnLaw()), 1.0, tape)
