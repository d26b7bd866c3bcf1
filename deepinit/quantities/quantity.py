"""The record of one measurable quantity."""

from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.results import Rounding
from deepinit.quantities.kinds import Kind
from deepinit.quantities.theory import Theory

EVENTS = ("collinear", "dead", "not_finite")
# of values with log-scales, which float64 may not hold
SCALED_EVENTS = ("collinear", "dead", "underflow", "not_finite")


class Quantity(NamedTuple):
    """One measurable quantity: its measurement and its theories.

    Attributes:
        name: in code, tables and files.
        symbol: mathtext for figures.
        label: description in figures and tables.
        measurement: of one network: `Forward`, `Backward`, `Trained` or `ExactLaw`.
        theories: predictions, best first; the infinite-width limit, if known, last.
        transform: the coordinate in which its statistics are light-tailed.
        reference: source of the definition.
        events: reasons for an undefined value, all different, in the order of their codes from 1;
            the last one stands for values that are not finite.
        rounding: scale of the rounding error of a value: `relative` to the value, or `absolute`
            (at least 1) for logarithms, probabilities, and ratios free of the scale of inputs.
        light_tailed: name of the quantity to compare instead where this one has heavy tails; None
            for light tails.
        input_degree: d if values of a homogeneous network (`Spec.is_homogeneous`) scale like
            |inputs|^d. Such networks are simulated at inputs of size near 1 and values multiplied
            by an exact power of two, so that the scale of inputs changes no rounding. None: inputs
            as they are.
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

    def theory(self, name: str) -> Theory:
        """The theory of this name.

        Raises:
            SpecError: no such theory.
        """
        for theory in self.theories:
            if theory.name == name:
                return theory
        names = ", ".join(theory.name for theory in self.theories) or "none: no theory is known"
        raise SpecError(f"the theory {name!r} of {self.name}", names, "Check the spelling.")

    def applicable(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """Names of the theories that apply, best first; `infinite_width`, if any, last."""
        axis = self.measurement.axis
        return tuple(t.name for t in self.theories if t.why_not(spec, inputs, axis) is None)
