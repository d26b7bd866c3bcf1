"""The record of one measurable quantity."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.results import Rounding
from deepinit.quantities.kinds import Kind
from deepinit.quantities.row_functions import Target
from deepinit.quantities.theory import Theory

EVENTS = ("collinear", "dead", "not_finite")
# of values with log-scales, which float64 may not hold
SCALED_EVENTS = ("collinear", "dead", "underflow", "not_finite")


class Quantity(NamedTuple):
    """One measurable quantity: its measurement and its theories.

    Attributes:
        symbol, label: mathtext; in figures and tables.
        theories: best first; the infinite-width limit last.
        transform: coordinate with light-tailed statistics.
        reference: source of the definition.
        events: distinct reasons for undefined values, codes from 1; the last is for non-finite
            values.
        rounding: errors `relative` to the value, or `absolute` (at least 1) for logarithms,
            probabilities and scale-free ratios.
        light_tailed: quantity to compare instead; None for light tails.
        input_degree: d if values of homogeneous networks (`Spec.is_homogeneous`) scale like
            |inputs|^d: inputs are scaled near 1 by an exact power of two, and values back; or None.
        target: `(spec, inputs) -> Target`, the values of single networks as functions of products
            and means of rows; None if they are not.
        control: `(spec, inputs) -> quantities.controls.Control`, of another kind; None without.
    """

    name: str
    symbol: str
    label: str
    measurement: Kind
    theories: tuple[Theory, ...]
    transform: str
    reference: str
    events: tuple[str, ...] = EVENTS
    rounding: Rounding = "relative"
    light_tailed: str | None = None
    input_degree: int | None = None
    target: Callable[[Any, Any], Target] | None = None
    control: Callable[[Any, Any], Any] | None = None

    def __repr__(self) -> str:
        kind, names = type(self.measurement).__name__, [theory.name for theory in self.theories]
        return f"Quantity({self.name}, {kind}; theories: {', '.join(names) or 'none'})"

    def theory(self, name: str) -> Theory:
        """Theory by name; SpecError if unknown."""
        for theory in self.theories:
            if theory.name == name:
                return theory
        names = ", ".join(theory.name for theory in self.theories) or "none: no theory is known"
        raise SpecError(f"the theory {name!r} of {self.name}", names, "Check the spelling.")

    def applicable(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """Names of applicable theories, best first."""
        axis = self.measurement.axis
        return tuple(t.name for t in self.theories if t.why_not(spec, inputs, axis) is None)
