"""What a measurable thing is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import Estimate, Rounding
from deepinit.core.trainings import Training
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
        measure: tap on the forward pass, `(LayerState, inputs) -> Measurement` of one network at one layer; of a quantity of
            training, `(spec, inputs) -> (Snapshot -> Measurement)` of one network at one recorded step.
        theories: its predictions, best first; the infinite-width limit, where one is known, last.
        accepts: the kind of inputs that it is measured at: rows, or a `Training`.
        transform: the coordinate in which its statistics are light-tailed.
        reference: where it is defined.
        at_output: is the output layer measured too, as the last one, where the spec has one?
        sampler: `(spec, inputs, dtype) -> (key -> Measurement)` of one network's layers from their exact law, without its
            neurons (`linear_map="chi_square"`); None where no such law is known. Raises SpecError where it does not hold.
        entries: `(spec, inputs) -> names of the last axis`; None takes those of the inputs.
        functions: of a quantity of the backward pass, `(spec, inputs) -> (linear functions of the output [num, width], the point of each)`, whose
            gradients `measure` takes: `(Gradients, inputs) -> Measurement` of one network, [rows, entries]; None for the forward pass.
        whole: one row for the whole network instead of one for every layer.
        of_ensemble: `(spec, Estimate of what is measured) -> Estimate`, of a statistic that only an ensemble has; samples stay what is measured.
        requires: `(spec, inputs) -> None`, raises SpecError where the quantity has no meaning; None where it always has.
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
    measure: Callable[[Any, Any], Any]
    theories: tuple[Theory, ...]
    accepts: type
    transform: str
    reference: str
    at_output: bool = False
    sampler: Callable[[Any, Any, str], Callable[[Any], Any]] | None = None
    entries: Callable[[Any, Any], tuple[str, ...]] | None = None
    functions: Callable[[Any, Any], tuple[Any, tuple[int, ...]]] | None = None
    whole: bool = False
    of_ensemble: Callable[[Any, Estimate], Estimate] | None = None
    requires: Callable[[Any, Any], None] | None = None
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
            names = ", ".join(theory.name for theory in self.theories) or "none: no theory of it is known"
            raise SpecError(refusal(f"the theory {name!r} of {self.name}", names, "Check the spelling."))
        return found[0]

    def applicable(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """Names of the finite-width theories that apply, the default first."""
        finite = [theory for theory in self.theories if not theory.is_limit]
        return tuple(theory.name for theory in finite if theory.why_not(spec, inputs) is None)

    def has_limit(self, spec: Any, inputs: Any) -> bool:
        """Is an infinite-width limit known here?"""
        return any(theory.is_limit and theory.why_not(spec, inputs) is None for theory in self.theories)

    @property
    def is_of_training(self) -> bool:
        """It is measured while networks train, at recorded steps instead of layers."""
        return self.accepts is Training

    def positions(self, spec: Any, inputs: Any) -> tuple[int, ...] | None:
        """Numbers along the first axis of a measurement; None for 1, 2, ..."""
        if self.is_of_training:
            return inputs.record_steps
        return (self.num_layers(spec),) if self.whole else None

    def num_layers(self, spec: Any) -> int:
        """Layers that are measured, or the number of the last one."""
        return spec.depth + (self.at_output and spec.output_width is not None)

    def entry_names(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """What the entries of one measurement are called."""
        return inputs.entries if self.entries is None else self.entries(spec, inputs)
