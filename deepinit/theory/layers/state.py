"""States of the rows of a network: settled, or columns of a random linear map still pending.

k rows (inputs x positions) of width n; vectors of p = k (k + 1) / 2 entries: `entries`.
"""

import dataclasses
from typing import Any

import jax

from deepinit.theory.layers.columns import ColumnLaw, tuple_moments
from deepinit.theory.layers.entries import count_rows
from deepinit.theory.layers.tape import Tape


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Settled:
    """Rows of known products.

    Attributes:
        gram: [p], (1/n) sum_j h_aj h_bj.
        mean: [k], (1/n) sum_j h_aj.
        haar: whether a norm of Gaussian columns made them: dependent columns.
    """

    gram: Any
    mean: Any
    haar: bool = dataclasses.field(default=False, metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Pending:
    """Independent columns F(z), z ~ N(0, variance), given what came before; nothing averaged yet.

    Attributes:
        variance: [p], R.
        width: n, number of columns.
        law: F, and factors of dropout.
    """

    variance: Any
    width: int = dataclasses.field(metadata={"static": True})
    law: ColumnLaw = dataclasses.field(metadata={"static": True})


State = Settled | Pending


def num_rows(state: State) -> int:
    """k."""
    return count_rows((state.gram if isinstance(state, Settled) else state.variance).shape[0])


def settle(state: State, tape: Tape) -> Settled:
    """Products and means of the rows, by the average over columns."""
    if isinstance(state, Settled):
        return state
    mean, covariance = tuple_moments(state.variance, state.law, tape)
    size = state.variance.shape[0]
    average = tape.average(mean, covariance, state.width // state.law.channels)
    return Settled(average[:size], average[size:])
