"""Token shifts: rows P H of a fixed matrix P on positions; Gaussian columns stay Gaussian."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.token_shift import TokenShift
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rules_table import FIRST_ORDER
from deepinit.theory.layers.state import Pending, State, num_rows, settle
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(TokenShift)
def _shift(
    layer: TokenShift, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del depth, path
    count = shape.num_positions
    own = (1 - layer.share) * np.eye(count) + layer.share * np.eye(count, k=-1)
    matrix = jnp.asarray(np.kron(np.eye(num_rows(state) // count), own))
    shifted = lambda gram: vector_of(matrix @ matrix_of(gram) @ matrix.T)
    if isinstance(state, Pending) and state.law == ColumnLaw():
        return dataclasses.replace(state, variance=shifted(state.variance))
    rows = settle(state, tape)
    return dataclasses.replace(rows, gram=shifted(rows.gram), mean=matrix @ rows.mean)
