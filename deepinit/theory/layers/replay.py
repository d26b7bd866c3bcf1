"""A tape of a drawn network: its averages, and how far they are from their means given the past."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers.calls import Call, Calls, Columns, Heads
from deepinit.core.layers.layer import Layer
from deepinit.theory.layers.coordinates import num_rows_of
from deepinit.theory.layers.fluctuations import (
    Fluctuation,
    Noise,
    fluctuation,
    noise_of,
    of_coordinates,
)
from deepinit.theory.layers.tape import Average, Tape, Terms
from deepinit.theory.numerics.entries import count_rows, entries


class Request(NamedTuple):
    """Moments of columns, or products of heads, that a replay reads.

    Attributes:
        columns: of the network.
        rows: k.
    """

    columns: Columns | Heads
    rows: int

    @property
    def has_beyond(self) -> bool:
        """Whether x, columns of a sum's first part, are among the features."""
        return isinstance(self.columns, Columns) and self.columns.beyond is not None

    @property
    def size(self) -> int:
        """Length of f = (1, t) or (1, t, x): t = (F_a F_b, a <= b; F_a), x that of `beyond`."""
        return 1 + self.rows * (self.rows + 3) // 2 + self.rows * self.has_beyond

    @property
    def length(self) -> int:
        """Numbers of a record: entries i <= j of f f^T, or products of heads; then log-scales.

        Of two rows f has those of the first and of the second less c times it; c is the last.
        """
        if isinstance(self.columns, Heads):
            own = self.rows**2 + self.rows * (self.rows + 1) // 2
            return self.columns.number * own + 2 * self.rows
        return self.size * (self.size + 1) // 2 + self.rows + (self.rows == 2)


def moments_of(record: Any, request: Request) -> Any:
    """[size, size], mean of f f^T over columns at true scale, of a record [length]."""
    count = request.size * (request.size + 1) // 2
    products, scales = record[:count], record[count : count + request.rows]
    first, second = np.triu_indices(request.rows)
    logs = [jnp.zeros(1), scales[first] + scales[second], scales]
    if request.has_beyond:
        logs.append(scales)
    factor = jnp.exp(jnp.concatenate(logs))
    found = products[entries(request.size).at]
    if request.rows == 2:
        found = _together(_together(found, record[-1]).T, record[-1]).T
    return found * factor[:, None] * factor


def _together(parts: Any, share: Any) -> Any:
    """Features of F_1 and F_2 [size, n], of those of F_1 and F_2 - c F_1."""
    one, own, crossed, rest, *means = parts
    both, pairs = share * own + crossed, zip(means[::2], means[1::2], strict=True)
    products = (one, own, both, share * (both + crossed) + rest)
    return jnp.stack([*products, *(row for a, d in pairs for row in (a, share * a + d))])


def products_of_heads(record: Any, heads: int, rows: int) -> tuple[Any, Any]:
    """q k^T / d [heads, k, k] and o o^T / d [heads, p] at true scale, of a record."""
    scales, sizes = jnp.exp(record[-2 * rows :]).reshape(2, rows)
    first, second = np.triu_indices(rows)
    scores, outputs = record[: heads * rows**2], record[heads * rows**2 : -2 * rows]
    scores = scores.reshape(heads, rows, rows) * jnp.outer(scales, scales)
    return scores, outputs.reshape(heads, -1) * (sizes[first] * sizes[second])


class Entered(NamedTuple):
    """The average of the columns that enter, and the noise of its coordinates, if known."""

    average: Any
    noise: Noise


class Replay(Tape):
    """A tape of one network.

    Args:
        records: `Request.length` numbers each, in the order of `requests`; None to learn them.
        entered: of the first state; None to read its columns.

    Attributes:
        drawn: noises of every average, those of rows that enter in `coordinates`.
        rows: fluctuations of averages of rows.
    """

    only_means: ClassVar[bool] = True

    def __init__(self, records: list[Any] | None = None, entered: Entered | None = None) -> None:
        super().__init__(half=0)
        self.requests: list[Request] = []
        self.drawn: list[Noise] = []
        self.rows: list[Fluctuation] = []
        self._records, self._entered = records, entered
        self._calls = Calls()
        self._places: dict[int, tuple[Any, Columns]] = {}

    def start(self, state: Any, layer: Layer, where: Literal["in", "out"]) -> None:
        """Name the rows of the first state: input or output of a layer."""
        self._first = Columns(((layer, 0),), where)
        self._name(state, self._first)

    def _name(self, state: Any, columns: Columns) -> None:
        self._places[id(state)] = (state, columns)

    def enter(self, layer: Layer) -> None:
        """A call begins."""
        self._calls.enter(layer)

    def leave(self, state: Any) -> None:
        """A call ends in a state."""
        self._name(state, Columns(self._calls.leave(), "out"))

    def same_rows(self, state: Any, other: Any) -> Any:
        """`state`, named as `other`."""
        self._name(state, self._known(other))
        return state

    def of(self, state: Any) -> Columns:
        """The name of a state's rows."""
        return self._known(state)

    def added(self, skip: Any) -> Columns:
        """Output of the call in progress beyond `skip`."""
        return Columns(self._calls.current, "out", self._known(skip))

    def inside(self, layer: Layer) -> Columns:
        """Input of a layer inside the call in progress."""
        inner: Call = (*self._calls.current, (layer, 0))
        return Columns(inner, "in")

    def heads(self, layer: Layer, number: int, rotary: float | None = None) -> Heads:
        """Heads of a layer inside the call in progress."""
        return Heads((*self._calls.current, (layer, 0)), number, rotary)

    def _known(self, state: Any) -> Columns:
        if id(state) not in self._places:
            layer = self._calls.current[-1][0]
            given = f"control variates of {layer!r}, a sum with fixed rows"
            raise SpecError(given, "learned positions", 'Write control="none".')
        return self._places[id(state)][1]

    def average(self, terms: Terms) -> Any:
        """The network's average [d]; the mean where its columns are not seen."""
        mean, columns = terms.mean, terms.columns
        none = Noise(jnp.zeros_like(mean), jnp.zeros((len(mean),) * 2, mean.dtype))
        self.averages.append(Average(None, None, none.value))
        if self._entered is not None and columns == self._first:
            self.drawn.append(self._entered.noise)
            return mean if self._records is None else self._entered.average
        if columns is not None:
            rows = _count(len(mean)) if terms.slope is None else terms.slope.shape[1]
            self.requests.append(Request(columns, rows))
        if columns is None or self._records is None:
            self.drawn.append(none)
            return mean
        found = moments_of(self._records[len(self.requests) - 1], self.requests[-1])
        own = found[0, 1 : 1 + len(mean)]
        square = None if terms.dependent else _spread(found, mean, terms.slope) / terms.units
        if terms.of_rows:
            self.rows.append(fluctuation(own, mean, square))
            first = len(self.averages) == 1
            self.drawn.append(of_coordinates(self.rows[-1]) if first else self.rows[-1].noise)
        else:
            self.drawn.append(noise_of(own, mean, square, jnp.isfinite(mean)))
        return own

    def average_of_heads(self, heads: Heads, rows: int, terms: Callable[[Any, Any], Any]) -> Any:
        """The network's average [p] of o o^T / d.

        Args:
            terms: `(q k^T / d [heads, k, k], o o^T / d [heads, p]) -> [heads, p]`, of mean 0 given
                the past, one for every head, independent. Their average is the noise.
        """
        self.requests.append(Request(heads, rows))
        size = rows * (rows + 1) // 2
        if self._records is None:
            self.drawn.append(Noise(jnp.zeros(size), jnp.zeros((size, size))))
            return jnp.zeros(size)
        scores, outputs = products_of_heads(
            self._records[len(self.requests) - 1], heads.number, rows
        )
        found = terms(scores, outputs)
        value = jnp.mean(found, axis=0)
        within = jnp.outer(value, value) - found.T @ found / heads.number**2
        self.drawn.append(Noise(value, within))
        return jnp.mean(outputs, axis=0)


def _spread(moments: Any, mean: Any, slope: Any) -> Any:
    """Mean over columns of (t - E t) (t - E t)^T, E t = slope x + constant."""
    size = len(mean)
    average, products = moments[0, 1 : 1 + size], moments[1 : 1 + size, 1 : 1 + size]
    if slope is None:
        crossed = jnp.outer(average, mean)
        return products - crossed - crossed.T + jnp.outer(mean, mean)
    constant = mean - slope @ moments[0, 1 + size :]
    unit = jnp.eye(size, dtype=mean.dtype)
    weights = jnp.concatenate([-constant[:, None], unit, -slope], axis=1)
    return weights @ moments @ weights.T


def _count(size: int) -> int:
    """k of d = k (k + 3) / 2, or of p = k (k + 1) / 2 (products alone)."""
    k = num_rows_of(size)
    return k if k * (k + 3) // 2 == size else count_rows(size)
