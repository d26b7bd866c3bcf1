"""What a measurable thing is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.results import Estimate, Prediction, Rounding
from deepinit.core.specs import Spec
from deepinit.core.trainings import Training


class Quantity(NamedTuple):
    """One measurable thing and the three routes to it.

    Attributes:
        name: in code, tables and files.
        symbol: mathtext for figures.
        label: in words.
        measure: tap on the forward pass, `(LayerState, inputs) -> Measurement` of one network at one layer; of a quantity of
            training, `(spec, inputs) -> (Snapshot -> Measurement)` of one network at one recorded step.
        predict: `(spec, inputs, form) -> Prediction` at finite width.
        forms: `spec -> names of the predictions that apply to it`, the default first.
        forms_at: `(spec, inputs) -> those of them that hold at these inputs`, the default first; None where inputs make no difference.
        infinite: `(spec, inputs) -> Prediction` at infinite width; None where there is no limit to compare with.
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
        has_limit: `(spec, inputs) -> is there an infinite-width limit to compare a run of these with`; None for always.
        events: why a network may have no value, in the order of their codes; the last stands for values that are not finite.
        rounding: scale of the rounding error of one value: `relative` to the value, or `absolute`, at least 1, for logarithms (the absolute
            error of a logarithm is the relative error of its argument), probabilities and ratios that do not depend on the scale of inputs.
        light_tailed: name of the quantity to compare instead where this one has heavy tails; None where it has none.
    """

    name: str
    symbol: str
    label: str
    measure: Callable[[Any, Any], Any]
    predict: Callable[[Any, Any, str], Prediction]
    forms: Callable[[Spec], tuple[str, ...]]
    infinite: Callable[[Any, Any], Prediction] | None
    accepts: type
    transform: str
    reference: str
    at_output: bool = False
    sampler: Callable[[Any, Any, str], Callable[[Any], Any]] | None = None
    entries: Callable[[Any, Any], tuple[str, ...]] | None = None
    has_limit: Callable[[Any, Any], bool] | None = None
    functions: Callable[[Any, Any], tuple[Any, tuple[int, ...]]] | None = None
    whole: bool = False
    of_ensemble: Callable[[Any, Estimate], Estimate] | None = None
    requires: Callable[[Any, Any], None] | None = None
    events: tuple[str, ...] = ("collinear", "dead", "not_finite")
    forms_at: Callable[[Any, Any], tuple[str, ...]] | None = None
    rounding: Rounding = "relative"
    light_tailed: str | None = None

    def forms_for(self, spec: Any, inputs: Any) -> tuple[str, ...]:
        """Names of the predictions that hold for a spec at these inputs, the default first."""
        return self.forms(spec) if self.forms_at is None else self.forms_at(spec, inputs)

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
