"""What a quantity that users bring must consist of, and what its functions must return."""

from collections.abc import Callable
from typing import Any

from deepinit.core import validate
from deepinit.core.errors import SpecError, refusal
from deepinit.core.results import Estimate
from deepinit.quantities.kinds import Backward, ExactLaw, Forward, Trained
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import Theory

_TEXTS = ("name", "symbol", "label", "transform", "reference")
_FUNCTIONS = {
    Forward: ("tap", "entries", "why_not"),
    Backward: ("tap", "functions", "entries", "why_not"),
    Trained: ("tap", "entries", "why_not"),
    ExactLaw: ("sampler",),
}


def check_quantity(quantity: Quantity, accepted: tuple[type, ...]) -> None:
    """Refuse a Quantity whose fields are not what they are documented to be.

    Args:
        quantity: to check.
        accepted: kinds of inputs that exist.

    Raises:
        SpecError: names the field.
    """
    for name in _TEXTS:
        _require(quantity, name, isinstance(getattr(quantity, name), str), "text")
    _require(
        quantity,
        "name",
        quantity.name.isprintable() and quantity.name.strip() != "",
        "text of one line",
    )
    _require(
        quantity,
        "measurement",
        isinstance(quantity.measurement, tuple(_FUNCTIONS)),
        _one_of(_FUNCTIONS),
    )
    _require(
        quantity, "theories", _all(quantity.theories, Theory), "a tuple of Theory, () for none"
    )
    for number, theory in enumerate(quantity.theories):
        right = (
            isinstance(theory.name, str)
            and callable(theory.conditions)
            and callable(theory.predict)
        )
        _require(
            quantity,
            "theories",
            right,
            f"Theory(name, conditions, predict), two functions; number {number} is not",
        )
    names = [theory.name for theory in quantity.theories]
    _require(quantity, "theories", len({*names}) == len(names), "theories whose names differ")
    _require(
        quantity,
        "events",
        _are_names(quantity.events),
        'a tuple of different words like ("not_finite",)',
    )
    _require(
        quantity,
        "rounding",
        quantity.rounding in ("relative", "absolute"),
        "'relative' or 'absolute'",
    )
    _require(
        quantity,
        "light_tailed",
        isinstance(quantity.light_tailed, str | None),
        "a quantity's name, or None",
    )
    degree = quantity.input_degree
    _require(
        quantity,
        "input_degree",
        degree is None or validate.whole_number(degree) is not None,
        "an integer, or None",
    )
    _check_measurement(quantity, quantity.measurement, accepted)


def _check_measurement(quantity: Quantity, measurement: Any, accepted: tuple[type, ...]) -> None:
    kind = type(measurement)
    for name in _FUNCTIONS[kind]:
        _require(
            quantity, f"measurement.{name}", callable(getattr(measurement, name)), "a function"
        )
    if isinstance(measurement, ExactLaw):
        _require(
            quantity, "measurement.forward", isinstance(measurement.forward, Forward), "a Forward"
        )
        _check_measurement(quantity, measurement.forward, accepted)
    else:
        _require(
            quantity, "measurement.accepts", measurement.accepts in accepted, _one_of(accepted)
        )
    at_output = getattr(measurement, "at_output", False)
    _require(quantity, "measurement.at_output", isinstance(at_output, bool), "True or False")
    statistic = measurement.statistic
    _require(
        quantity,
        "measurement.statistic",
        statistic is None or callable(statistic),
        "a function, or None",
    )


def check_answers(quantity: Quantity, spec: Any, inputs: Any) -> None:
    """Refuse a quantity without a meaning for this spec, or whose functions of spec and inputs return another kind.

    Raises:
        SpecError: the quantity's own reason, or which function returned what.
    """
    reason = quantity.measurement.why_not(spec, inputs)
    if reason is not None:
        raise SpecError(
            reason
            if isinstance(reason, str)
            else _returned(quantity, "why_not", reason, "text, or None")
        )
    entries = quantity.measurement.axis(spec, inputs).entries
    if not _are_names(entries):
        allowed = 'a tuple of different names like ("1", "2")'
        raise SpecError(_returned(quantity, "entries", entries, allowed))


def applied_statistic(quantity: Quantity, spec: Any, found: Estimate) -> Estimate:
    """What the quantity makes of the Estimate of its tap.

    Raises:
        SpecError: no Estimate, or one of another shape.
    """
    statistic: Callable[[Any, Estimate], Estimate] | None = quantity.measurement.statistic
    if statistic is None:
        return found
    result = statistic(spec, found)
    if not isinstance(result, Estimate) or result.mean.shape != found.mean.shape:
        raise SpecError(
            _returned(quantity, "statistic", result, f"an Estimate of shape {found.mean.shape}")
        )
    return result


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)


def _are_names(values: Any) -> bool:
    return _all(values, str) and 0 < len(values) == len({*values})


def _one_of(kinds: Any) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _require(quantity: Quantity, field: str, holds: bool, allowed: str) -> None:
    if not holds:
        value: Any = quantity
        for name in field.split("."):
            value = getattr(value, name)
        given = f"the quantity {quantity.name!r:.80} with {field}={value!r:.80}"
        raise SpecError(
            given, allowed, "Write quantity._replace(...), or see the docstring of Quantity."
        )


def _returned(quantity: Quantity, function: str, value: Any, allowed: str) -> str:
    given = f"{value!r:.80} from measurement.{function} of the quantity {quantity.name!r:.80}"
    return refusal(given, allowed, "Correct that function.")
