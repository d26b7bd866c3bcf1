"""What a measurable thing is."""

from typing import Any, NamedTuple

from deepinit.core.errors import SpecError
from deepinit.core.results import Rounding
from deepinit.quantities.kinds import Kind
from deepinit.quantities.theory import Theory

EVENTS = ("collinear", "dead", "not_finite")
SCALED_EVENTS = (
    "collinear",
    "dead",
    "underflow",
    "not_finite",
)  # of values with log-scales, which float64 may not hold


class Quantity(NamedTuple):
    """One measurable thing: how a network is measured, and the theories that predict it.

    Attributes:
        name: in code, tables and files.
        symbol: mathtext for figures.
        label: in words.
        measurement: how one network is measured: `Forward`, `Backward`, `Trained` or `ExactLaw`.
        theories: its predictions, best first; the infinite-width limit, where one is known, last.
        transform: the coordinate in which its statistics are light-tailed.
        reference: where it is defined.
        events: why a network may have no value, in the order of their codes; the last stands for values that are not finite.
        rounding: scale of the rounding error of one value: `relative` to the value, or `absolute`, at least 1, for logarithms (the absolute
            error of a logarithm is the relative error of its argument), probabilities and ratios that do not depend on the scale of inputs.
        light_tailed: name of the quantity to compare instead where this one has heavy tails; None where it has none.
        input_degree: the power of the inputs' size that values of a homogeneous network (`Spec.is_homogeneous`) are proportional
            to. Such networks are simulated at inputs of a size near 1, and values multiplied by an exact power of two, so
            that scaling the inputs by one changes no rounding. None: inputs as they are.
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
        found = [theory for theory in self.theories if theory.name == name]
        if not found:
            names = (
                ", ".join(theory.name for theory in self.theories)
                or "none: no theory of it is known"
            )
            raise SpecError(f"the theory {name!r} of {self.name}", names, "Check the spelling.")
        return found[0]

    def applicable(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """Names of the theories that apply, best first; `infinite_width`, if any, last."""
        axis = self.measurement.axis
        return tuple(t.name for t in self.theories if t.why_not(spec, inputs, axis) is None)
