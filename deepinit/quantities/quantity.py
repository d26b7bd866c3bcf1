"""What a measurable thing is."""

from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core.inputs import Inputs
from deepinit.core.results import Prediction
from deepinit.core.specs import Spec


class Quantity(NamedTuple):
    """One measurable thing and the three routes to it.

    Attributes:
        name: in code, tables and files.
        symbol: mathtext for figures.
        label: in words.
        measure: tap on the forward pass, `LayerState -> Measurement` of one network at one layer.
        predict: `(spec, inputs, form) -> Prediction` at finite width.
        forms: `spec -> names of the predictions that apply to it`, the default first.
        infinite: `(spec, inputs) -> Prediction` at infinite width.
        transform: the coordinate in which its statistics are light-tailed.
        reference: where it is defined.
    """

    name: str
    symbol: str
    label: str
    measure: Callable[[Any], Any]
    predict: Callable[[Spec, Inputs, str], Prediction]
    forms: Callable[[Spec], tuple[str, ...]]
    infinite: Callable[[Spec, Inputs], Prediction]
    transform: str
    reference: str
