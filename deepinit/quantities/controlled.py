"""Which control variates a simulation takes."""

from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.quantities import controls
from deepinit.quantities.controls import Control, Controls
from deepinit.quantities.kinds import Forward
from deepinit.quantities.measured import at_unit_size
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.validate import check_answers

CONTROLS = ("none", "theory", "auto")
_REMEDY = "Leave control out, or write control='auto', which takes it where it exists."


def checked_control(quantity: Quantity, name: Any) -> str:
    """`none`, `theory` or `auto`; SpecError for `theory` of kinds without any."""
    chosen = validate.choice("control", name, CONTROLS, "'none' is the default.")
    if chosen == "theory":
        _require_forward(quantity)
    return chosen


def choose_control(
    spec: Any, quantity: Quantity, inputs: Any, name: str
) -> tuple[Control | None, dict[str, str]]:
    """The Control, or None, and the entry `control` of the settings (empty for `none`).

    Raises SpecError: `theory` where a layer or the quantity has no rule. `auto` states the reason
        in its entry instead.
    """
    if checked_control(quantity, name) == "none":
        return None, {}
    check_answers(quantity, spec, inputs)
    try:
        return _control(spec, quantity, inputs), {"control": "theory"}
    except SpecError as error:
        if name == "theory":
            raise
        return None, {"control": f"none: {error}"}


def _control(spec: Any, quantity: Quantity, inputs: Any) -> Control:
    """Of the inputs that the networks see, scaled back like the values."""
    _require_forward(quantity)
    scaled, exponent = at_unit_size(spec, quantity, inputs)
    control = controls.control_of(spec, quantity, scaled)
    return _times_power_of_two(control, exponent)


def _require_forward(quantity: Quantity) -> None:
    kind = type(quantity.measurement)
    given = f"control variates of {quantity.name}, a measurement of the kind {kind.__name__}"
    allowed = "taps on the forward pass (Forward), or ntk"
    validate.require(kind is Forward or quantity.control is not None, given, allowed, _REMEDY)


def _times_power_of_two(control: Control, exponent: int) -> Control:
    """Controls of values times 2^exponent."""
    if exponent == 0:
        return control

    def of_block(columns: np.ndarray) -> Controls:
        found = control.of_block(columns)
        times = lambda array, degree: np.ldexp(array, degree * exponent)
        with np.errstate(over="ignore", under="ignore"):
            past = None if found.past is None else times(found.past, 1)
            return Controls(times(found.mean, 1), times(found.square, 2), past)

    return control._replace(of_block=of_block, centre=np.ldexp(control.centre, exponent))
