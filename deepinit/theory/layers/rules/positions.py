"""Vectors of positions: learned ones, R + v on pairs of one position, or sinusoidal ones.

Sinusoidal, n neurons: independent columns plus fixed (sin, cos)(p 10000^(-2i/n)), i < n/2.
"""

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Positions
from deepinit.core.layers.layer import Shape, refuse
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import vector_of
from deepinit.theory.layers.rules.residual import add
from deepinit.theory.layers.rules_table import FIRST_ORDER, entry_variance
from deepinit.theory.layers.state import Pending, Settled, State, num_rows
from deepinit.theory.layers.tape import Tape
from deepinit.theory.numerics.entries import entries


@FIRST_ORDER.rule(Positions)
def _positions(
    layer: Positions, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    position = np.arange(num_rows(state)) % shape.num_positions
    if layer.kind == "sinusoidal":
        if not isinstance(state, Pending):
            given = "sinusoidal positions on neurons that may depend on them"
            allowed = "columns of a random linear map"
            raise refuse(path, layer, given, allowed, "Embed the inputs first, or simulate.")
        vectors = _sinusoids(shape)[position]
        products, mean = vectors @ vectors.T / vectors.shape[1], vectors.mean(axis=1)
        fixed = Settled(vector_of(jnp.asarray(products)), jnp.asarray(mean))
        return add(fixed, state, 1.0, tape)
    where = entries(num_rows(state))
    same = position[where.rows] == position[where.columns]
    variance = entry_variance(layer, "law", 1, depth, path) * jnp.asarray(same, float)
    return add(state, Pending(variance, shape.width or 1, ColumnLaw()), 1.0, tape)


def _sinusoids(shape: Shape) -> np.ndarray:
    """[positions, n], of neurons 2i and 2i + 1."""
    width = int(shape.width or 1)
    neuron = np.arange(width)
    rates = 10000.0 ** (-(neuron - neuron % 2) / width)
    angles = np.outer(np.arange(shape.num_positions), rates)
    return np.where(neuron % 2 == 0, np.sin(angles), np.cos(angles))
