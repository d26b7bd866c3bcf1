"""Averages over independent columns: what a tape returns for them, and what it records.

The same rules serve every use; only the tape differs.

- `Tape(half)`: the mean, which is infinite width.
- `Tape(half, noises)`: mean + noises[i]; derivatives by the noises are those of the result by the
  averages of a finite network.
- `replay.Replay` (control variates): those of a drawn network, and their differences to the mean.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.layers.calls import Columns
from deepinit.core.layers.layer import Layer
from deepinit.theory.layers.coordinates import moved


class Terms(NamedTuple):
    """Independent terms of an average, [d] each.

    Attributes:
        mean: of a term given what came before; differentiable.
        covariance: [d, d], of a term; not differentiated. None where only means are read.
        units: number of terms.
        bias: of order 1/units, of the mean; None for 0.
        mean_units: number of terms in mean shifts; None for `units`.
        columns: whose features are the terms, by `Tape.of` or `Tape.added`.
        slope: [d, k]; a term has the mean slope x + constant, x its part of the rows beyond which
            it counts. None for 0.
        of_rows: the average is of products and means of rows.
        dependent: the terms depend on each other.
    """

    mean: Any
    covariance: Any
    units: float
    bias: Any = None
    mean_units: float | None = None
    columns: Columns | None = None
    slope: Any = None
    of_rows: bool = False
    dependent: bool = False


class Average(NamedTuple):
    """One average that a tape recorded.

    Attributes:
        covariance: [d, d], of the average: that of one term over `units`.
        shift_covariance: [d, d], the same in mean shifts.
        bias: [d], order 1/width of the mean.
    """

    covariance: Any
    shift_covariance: Any
    bias: Any


@dataclasses.dataclass
class Tape:
    """Averages of one pass through a layer, in order.

    Attributes:
        half: steps of quadratures on [0, 9] (`quadrature`).
        noises: added to the averages; None for none.
        averages: recorded so far.
        error: [], largest error of a quadrature so far, relative.
        sampled: [2], largest errors so far of means over random points and of their derivatives,
            relative.
        jets: values and derivatives of Gaussian moments so far; those of an earlier pass, if given
            as `known`, are taken instead of computed.
    """

    half: int
    noises: list[Any] | None = None
    known: list[Any] | None = None
    averages: list[Average] = dataclasses.field(default_factory=list)
    error: Any = 0.0
    sampled: Any = (0.0, 0.0)
    jets: list[Any] = dataclasses.field(default_factory=list)
    # noises of rows that enter are those of `coordinates`; covariances are not read
    relative: bool = False
    only_means: ClassVar[bool] = False  # covariances and derivatives are not read

    def average(self, terms: Terms) -> Any:
        """The average [d] of independent terms."""
        number, bias = len(self.averages), terms.bias
        covariance = jax.lax.stop_gradient(terms.covariance)
        bias = jnp.zeros_like(terms.mean) if bias is None else jax.lax.stop_gradient(bias)
        in_shifts = covariance / (terms.mean_units or terms.units)
        self.averages.append(Average(covariance / terms.units, in_shifts, bias))
        if self.noises is None:
            return terms.mean
        noise = self.noises[number]
        if self.relative and terms.of_rows and number == 0:
            return moved(terms.mean, noise)
        return terms.mean + noise

    def jet(self, compute: Callable[[], Any]) -> Any:
        """Arrays that depend on the state's values only, once for all passes at a state."""
        number = len(self.jets)
        found = compute() if self.known is None else self.known[number]
        self.jets.append(jax.lax.stop_gradient(found))
        return self.jets[-1]

    def note(self, error: Any) -> None:
        """Record the relative error of a quadrature."""
        self.error = jnp.maximum(self.error, jax.lax.stop_gradient(error))

    def note_sampled(self, errors: Any) -> None:
        """Record the relative errors [2] of means over random points and of their derivatives."""
        self.sampled = jnp.maximum(jnp.asarray(self.sampled), jax.lax.stop_gradient(errors))

    def errors(self) -> Any:
        """[3], `error` and `sampled`."""
        return jnp.concatenate([jnp.reshape(self.error, 1), jnp.asarray(self.sampled)])

    def enter(self, layer: Layer) -> None:
        """A layer's rule begins."""

    def leave(self, state: Any) -> None:
        """The rule ends in a state."""

    def same_rows(self, state: Any, other: Any) -> Any:
        """`state`, whose rows are those of `other`."""
        del other
        return state

    def of(self, state: Any) -> Columns | None:
        """Columns of a state's rows."""
        del state
        return None

    def added(self, skip: Any) -> Columns | None:
        """Columns of the layer's output beyond those of `skip`."""
        del skip
        return None
