"""States of the rows of a network: settled, or columns of a random linear map still pending.

k rows (inputs x positions) of width n; vectors of p = k (k + 1) / 2 entries: `entries`.
"""

import dataclasses
from typing import Any, Literal

import jax

from deepinit.theory.layers.columns import ColumnLaw, haar_means, tuple_moments
from deepinit.theory.layers.haar import dependence
from deepinit.theory.layers.tape import Tape, Terms
from deepinit.theory.numerics.entries import count_rows

Frame = Literal["", "rms", "centred"]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Settled:
    """Rows of known products.

    Attributes:
        gram: [p], (1/n) sum_j h_aj h_bj.
        mean: [k], (1/n) sum_j h_aj.
        frame: norm of Gaussian columns that made them: dependent columns, independent of `gram`.
    """

    gram: Any
    mean: Any
    frame: Frame = dataclasses.field(default="", metadata={"static": True})


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


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Normed:
    """Columns F(x), x those of normed Gaussian columns: dependent, nothing averaged yet.

    Attributes:
        variance: [p], products of the normed rows.
        width: number of columns F.
        law: F, and factors of dropout.
        columns: n, number of columns x.
        frame: the norm.
    """

    variance: Any
    width: int = dataclasses.field(metadata={"static": True})
    law: ColumnLaw = dataclasses.field(metadata={"static": True})
    columns: int = dataclasses.field(metadata={"static": True})
    frame: Frame = dataclasses.field(metadata={"static": True})


State = Settled | Pending | Normed


def num_rows(state: State) -> int:
    """k."""
    return count_rows((state.gram if isinstance(state, Settled) else state.variance).shape[0])


def settle(state: State, tape: Tape) -> Settled:
    """Products and means of the rows, by the average over columns."""
    if isinstance(state, Settled):
        return state
    units = state.width // state.law.channels
    if tape.only_means and isinstance(state, Normed):
        mean = haar_means(state.variance, state.law, state.columns - (state.frame == "centred"))
        return _averaged(state, Terms(mean, None, units, dependent=True), tape)
    first, bias = len(tape.jets), None
    mean, covariance = tuple_moments(state.variance, state.law, tape)
    if isinstance(state, Normed):
        own = state.variance, state.law, tape.jets[first:], tape.half, state.frame == "centred"
        change, bias = tape.jet(lambda: dependence(*own))
        covariance = covariance + state.width / state.columns * change
        bias = bias / state.columns
    terms = Terms(mean, covariance, units, bias, dependent=state.law.channels > 1)
    return _averaged(state, terms, tape)


def _averaged(state: Pending | Normed, terms: Terms, tape: Tape) -> Settled:
    """Rows of the averages of (F_a F_b, F_a)."""
    average = tape.average(terms._replace(columns=tape.of(state), of_rows=True))
    size = len(state.variance)
    return Settled(average[:size], average[size:])
