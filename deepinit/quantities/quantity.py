"""What a measurable thing is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.results import Prediction
from deepinit.core.specs import Spec


class Quantity(NamedTuple):
    """One measurable thing and the three routes to it.

    Attributes:
        name: in code, tables and files.
        symbol: mathtext for figures.
        label: in words.
        measure: tap on the forward pass, `(LayerState, inputs) -> Measurement` of one network at one layer.
        predict: `(spec, inputs, form) -> Prediction` at finite width.
        forms: `spec -> names of the predictions that apply to it`, the default first.
        infinite: `(spec, inputs) -> Prediction` at infinite width.
        accepts: the kind of inputs that it is measured at.
        transform: the coordinate in which its statistics are light-tailed.
        reference: where it is defined.
        at_output: is the output layer measured too, as the last one, where the spec has one?
        sampler: `(spec, inputs, dtype) -> (key -> Measurement)` of one network's layers from their exact law, without its
            neurons (`linear_map="chi_square"`); None where no such law is known. Raises SpecError where it does not hold.
    """

    name: str
    symbol: str
    label: str
    measure: Callable[[Any, Any], Any]
    predict: Callable[[Any, Any, str], Prediction]
    forms: Callable[[Spec], tuple[str, ...]]
    infinite: Callable[[Any, Any], Prediction]
    accepts: type
    transform: str
    reference: str
    at_output: bool = False
    sampler: Callable[[Any, Any, str], Callable[[Any], Any]] | None = None
