"""A tape of a drawn network: its averages, and how far they are from their means given the past."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers.calls import Call, Calls, Columns, Heads
from deepinit.core.layers.layer import Layer
from deepinit.theory.layers.tape import Average, Tape, Terms
from deepinit.theory.numerics.entries import entries


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
        """Numbers of a record: entries i <= j of f f^T, or products of heads; then log-scales."""
        if isinstance(self.columns, Heads):
            own = self.rows**2 + self.rows * (self.rows + 1) // 2
            return self.columns.number * own + 2 * self.rows
        return self.size * (self.size + 1) // 2 + self.rows


def moments_of(record: Any, request: Request) -> Any:
    """[size, size], mean of f f^T over columns at true scale, of a record [length]."""
    products, scales = record[: -request.rows], record[-request.rows :]
    first, second = np.triu_indices(request.rows)
    logs = [jnp.zeros(1), scales[first] + scales[second], scales]
    if request.has_beyond:
        logs.append(scales)
    factor = jnp.exp(jnp.concatenate(logs))
    return products[entries(request.size).at] * jnp.outer(factor, factor)


def products_of_heads(record: Any, heads: int, rows: int) -> tuple[Any, Any]:
    """q k^T / d [heads, k, k] and o o^T / d [heads, p] at true scale, of a record."""
    scales, sizes = jnp.exp(record[-2 * rows :]).reshape(2, rows)
    first, second = np.triu_indices(rows)
    scores, outputs = record[: heads * rows**2], record[heads * rows**2 : -2 * rows]
    scores = scores.reshape(heads, rows, rows) * jnp.outer(scales, scales)
    return scores, outputs.reshape(heads, -1) * (sizes[first] * sizes[second])


class Noise(NamedTuple):
    """M = average - mean [d], E M = 0, and an estimate [d, d] of E M M^T, both given the past.

    In units of the average's scale. Zero where the mean is not known exactly; M M^T itself where
    no estimate is.
    """

    value: Any
    square: Any


class Entered(NamedTuple):
    """The average of the columns that enter, and its noise, if they are known."""

    average: Any
    noise: Noise


class Replay(Tape):
    """A tape of one network.

    Args:
        records: `Request.length` numbers each, in the order of `requests`; None to learn them.
        entered: of the first state; None to read its columns.
    """

    only_means: ClassVar[bool] = True

    def __init__(self, records: list[Any] | None = None, entered: Entered | None = None) -> None:
        super().__init__(half=0)
        self.requests: list[Request] = []
        self.drawn: list[Noise] = []
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

    def heads(self, layer: Layer, number: int) -> Heads:
        """Heads of a layer inside the call in progress."""
        return Heads((*self._calls.current, (layer, 0)), number)

    def _known(self, state: Any) -> Columns:
        if id(state) not in self._places:
            given = "control variates of a sum with fixed rows (sinusoidal positions)"
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
        self.drawn.append(_noise(own, found, terms))
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
        square = found.T @ found / heads.number**2
        self.drawn.append(Noise(jnp.mean(found, axis=0), square))
        return jnp.mean(outputs, axis=0)


def _noise(own: Any, moments: Any, terms: Terms) -> Noise:
    """Of the average `own`; 0 where its mean is NaN or its scale 0."""
    scale = jnp.broadcast_to(jnp.asarray(terms.scale), own.shape)
    known = jnp.isfinite(terms.mean) & (scale > 0)  # 0 after dead layers
    value = jnp.where(known, (own - terms.mean) / scale, 0.0)
    if terms.dependent:
        return Noise(value, jnp.outer(value, value))
    spread = _spread(moments, terms.mean, terms.slope) / (terms.units * jnp.outer(scale, scale))
    return Noise(value, jnp.where(known[:, None] & known, spread, 0.0))


def _spread(moments: Any, mean: Any, slope: Any) -> Any:
    """Mean over columns of (t - E t) (t - E t)^T, E t = slope x + constant."""
    size = len(mean)
    unit = jnp.eye(size, dtype=mean.dtype)
    if slope is None:
        weights = jnp.concatenate([-mean[:, None], unit], axis=1)
        return weights @ moments[: 1 + size, : 1 + size] @ weights.T
    constant = mean - slope @ moments[0, 1 + size :]
    weights = jnp.concatenate([-constant[:, None], unit, -slope], axis=1)
    return weights @ moments @ weights.T


def _count(size: int) -> int:
    """k of d = k (k + 3) / 2, or of p = k (k + 1) / 2 (products alone)."""
    k = int(((8 * size + 9) ** 0.5 - 3) / 2 + 0.5)
    return k if k * (k + 3) // 2 == size else int(((8 * size + 1) ** 0.5 - 1) / 2 + 0.5)
