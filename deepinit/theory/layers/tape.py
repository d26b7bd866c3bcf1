"""Averages over independent columns: what a tape returns for them, and what it records.

The same rules serve every use; only the tape differs.

- `Tape(half)`: the mean, which is infinite width.
- `Tape(half, noises)`: mean + noises[i]; derivatives by the noises are those of the result by the
  averages of a finite network.
- Replay (control variates): a subclass whose `average` returns those of a drawn network, and keeps
  their difference to the mean.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


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
        jets: values and derivatives of Gaussian moments so far; those of an earlier pass, if given
            as `known`, are taken instead of computed.
    """

    half: int
    noises: list[Any] | None = None
    known: list[Any] | None = None
    averages: list[Average] = dataclasses.field(default_factory=list)
    error: Any = 0.0
    jets: list[Any] = dataclasses.field(default_factory=list)

    def average(
        self,
        mean: Any,
        covariance: Any,
        units: float,
        bias: Any = None,
        mean_units: float | None = None,
    ) -> Any:
        """The average [d] of `units` independent terms.

        Args:
            mean: [d], of a term given what came before; differentiable.
            covariance: [d, d], of a term; not differentiated.
            units: number of terms.
            bias: [d], of order 1/units, of the mean; None for 0.
            mean_units: number of terms in mean shifts; None for `units`.
        """
        number = len(self.averages)
        covariance = jax.lax.stop_gradient(covariance)
        bias = jnp.zeros_like(mean) if bias is None else bias
        own = Average(
            covariance / units, covariance / (mean_units or units), jax.lax.stop_gradient(bias)
        )
        self.averages.append(own)
        return mean if self.noises is None else mean + self.noises[number]

    def jet(self, compute: Callable[[], Any]) -> Any:
        """Arrays that depend on the state's values only, once for all passes at a state."""
        number = len(self.jets)
        found = compute() if self.known is None else self.known[number]
        self.jets.append(jax.lax.stop_gradient(found))
        return self.jets[-1]

    def note(self, error: Any) -> None:
        """Record the relative error of a quadrature."""
        self.error = jnp.maximum(self.error, jax.lax.stop_gradient(error))
