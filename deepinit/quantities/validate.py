"""Checks of the arguments of routes, and of user-defined quantities."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.curves import SampledCurve
from deepinit.core.errors import SpecError, refusal
from deepinit.core.frames import Frames
from deepinit.core.host import require_unforked
from deepinit.core.inputs import ArrayInputs, Inputs
from deepinit.core.own_models import network_remedy
from deepinit.core.results import Estimate
from deepinit.core.specs import NetworkSpec
from deepinit.core.training_config import TrainingConfig
from deepinit.quantities.kinds import Backward, ExactLaw, Forward, Kind, Trained
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.theory import Theory

_TEXTS = ("name", "symbol", "label", "transform", "reference")
_FUNCTIONS = {
    Forward: ("tap", "entries", "why_not"),
    Backward: ("tap", "functions", "entries", "why_not"),
    Trained: ("tap", "entries", "why_not"),
    ExactLaw: ("sampler",),
}
_ARRAYS = {"value": "fiub", "event": "iu", "log_scale": "fiu", "exponent": "iu"}  # NumPy kinds
_OPTIONAL = ("log_scale", "exponent")
_EXAMPLES = {
    Inputs: "di.inputs.pair(0.1)",
    Frames: "di.frames.random(dimension=3)",
    SampledCurve: "di.curves.sampled(di.curves.circle())",
    TrainingConfig: "di.TrainingConfig(di.targets.sum_of_sines(), record_steps=range(0, 301, 30), "
    "rate=0.01)",
}

# What own networks can be given.
_OF_NETWORKS: dict[Any, tuple[str, str]] = {
    TrainingConfig: ("an MLP with an output layer, or a Network", "di.from_linen(module)"),
    Inputs: ("a network", "di.MLP(widths=(256,) * 10), or di.from_linen(module)"),
}


def check_kinds(spec: Any, quantity: Any, inputs: Any) -> None:
    """Check types; refuse JAX in a forked process."""
    require_unforked()
    _check_kind("quantity", quantity, Quantity, "a quantity", "di.quantities.log_sin2_angle")
    check_quantity(quantity, tuple(_EXAMPLES))
    kind: Any = quantity.measurement.accepts
    if kind in _OF_NETWORKS and not isinstance(spec, NetworkSpec):
        from deepinit.networks.network import Network

        _check_kind("spec", spec, Network, *_OF_NETWORKS[kind])
    else:
        _check_kind("spec", spec, NetworkSpec, "a network", "di.MLP(widths=(256,) * 10)")
    allowed = f"{kind.__name__} for {quantity.name}"
    _check_kind("inputs", inputs, kind, allowed, _EXAMPLES[kind])
    if isinstance(inputs, ArrayInputs) and isinstance(spec, NetworkSpec):
        given = f"di.inputs.arrays(...) for {type(spec).__name__}"
        raise SpecError(given, "rows", "Write di.inputs.points(rows), images(...), tokens(...).")


def _check_kind(name: str, value: Any, kind: Any, allowed: str, example: str) -> None:
    if not isinstance(value, kind):
        plain = isinstance(value, str | int | float)
        given = repr(value) if plain else f"an object of type {type(value).__name__}"
        remedy = network_remedy(value, f"Write for example {example}.")
        raise SpecError(f"{name}={given}", allowed, remedy)


def check_quantity(quantity: Quantity, accepted: tuple[type, ...]) -> None:
    """Check all fields; `accepted` are types of inputs."""

    def require(field: str, holds: bool, allowed: str) -> None:
        _require(quantity, field, holds, allowed)

    for name in _TEXTS:
        require(name, isinstance(getattr(quantity, name), str), "text")
    one_line = quantity.name.isprintable() and quantity.name.strip() != ""
    require("name", one_line, "text of one line")
    known = isinstance(quantity.measurement, tuple(_FUNCTIONS))
    require("measurement", known, _names_of(_FUNCTIONS))
    require("theories", _all(quantity.theories, Theory), "a tuple of Theory, () for none")
    for number, theory in enumerate(quantity.theories):
        right = callable(theory.conditions) and callable(theory.predict)
        allowed = f"Theory(name, conditions, predict), two functions; number {number} is not"
        require("theories", right and isinstance(theory.name, str), allowed)
        allowed = f"theories whose `covers` is a tuple of types; that of number {number} is not"
        require("theories", _all(theory.covers, type), allowed)
    names = [theory.name for theory in quantity.theories]
    require("theories", len({*names}) == len(names), "theories whose names differ")
    require("events", _are_names(quantity.events), 'different words like ("not_finite",)')
    right = quantity.rounding in ("relative", "absolute")
    require("rounding", right, "'relative' or 'absolute'")
    right = isinstance(quantity.light_tailed, str | None)
    require("light_tailed", right, "a quantity's name, or None")
    degree = quantity.input_degree
    right = degree is None or validate.whole_number(degree) is not None
    require("input_degree", right, "an integer, or None")
    _check_measurement(quantity, quantity.measurement, accepted)


def _check_measurement(quantity: Quantity, kind: Any, accepted: tuple[type, ...]) -> None:
    def require(field: str, holds: bool, allowed: str) -> None:
        _require(quantity, f"measurement.{field}", holds, allowed)

    for name in _FUNCTIONS[type(kind)]:
        require(name, callable(getattr(kind, name)), "a function")
    if isinstance(kind, ExactLaw):
        require("forward", isinstance(kind.forward, Forward), "a Forward")
        _check_measurement(quantity, kind.forward, accepted)
    else:
        require("accepts", kind.accepts in accepted, _names_of(accepted))
    at_output = getattr(kind, "at_output", False)
    require("at_output", isinstance(at_output, bool), "True or False")
    right = kind.statistic is None or callable(kind.statistic)
    require("statistic", right, "a function, or None")


def check_answers(quantity: Quantity, spec: Any, inputs: Any) -> None:
    """Check `why_not` and `entries`; SpecError where undefined."""
    reason = quantity.measurement.why_not(spec, inputs)
    if reason is not None:
        text = isinstance(reason, str)
        raise SpecError(reason if text else _returned(quantity, "why_not", reason, "text, or None"))
    entries = quantity.measurement.axis(spec, inputs).entries
    if not _are_names(entries):
        allowed = 'a tuple of different names like ("1", "2")'
        raise SpecError(_returned(quantity, "entries", entries, allowed))


def apply_statistic(quantity: Quantity, spec: Any, estimate: Estimate) -> Estimate:
    """Statistic of the ensemble, if any, checked."""
    statistic: Callable[[Any, Estimate], Estimate] | None = quantity.measurement.statistic
    if statistic is None:
        return estimate
    result = statistic(spec, estimate)
    if not isinstance(result, Estimate) or result.mean.shape != estimate.mean.shape:
        allowed = f"an Estimate of shape {estimate.mean.shape}"
        raise SpecError(_returned(quantity, "statistic", result, allowed))
    return result


def checked(measured: Any, quantity: Quantity, shape: tuple[int, ...] | None = None) -> Any:
    """The Measurement, checked (under `jit` at tracing); `shape` None for any common one."""
    from deepinit.observables.measurement import Measurement

    if not isinstance(measured, Measurement):
        kind = "an array" if hasattr(measured, "dtype") else type(measured).__name__
        write = "Write Measurement(value, jnp.zeros(value.shape, jnp.int8))."
        raise SpecError(f"a tap of {quantity.name} that returns {kind}", "a Measurement", write)
    source = f"in a Measurement of {quantity.name}"
    shape = getattr(measured.value, "shape", None) if shape is None else shape
    of_shape = "" if shape is None else f" of shape {shape}, one entry for every name"
    for field, kinds in _ARRAYS.items():
        array = getattr(measured, field)
        if array is None and field in _OPTIONAL:
            continue
        given = f"{field} of type {type(array).__name__}"
        if hasattr(array, "dtype"):
            if np.dtype(array.dtype).kind in kinds and array.shape == shape:
                continue
            given = f"{field}={array.dtype}{array.shape}"
        numbers = "integers" if kinds == "iu" else "real numbers"
        raise SpecError(f"{given} {source}", f"an array of {numbers}{of_shape}", "See Measurement.")
    kept = {} if measured.kept is None else measured.kept
    right = isinstance(kept, Mapping) and all(
        isinstance(name, str) and hasattr(array, "dtype") for name, array in kept.items()
    )
    allowed = "a dictionary of arrays by name, or None"
    given = f"kept of type {type(kept).__name__} {source}"
    validate.require(right, given, allowed, 'Write {"rows": rows}.')
    return measured


def with_checked_tap(quantity: Quantity) -> Kind:
    """The measurement with a checked tap."""

    def check(tap: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *arguments: checked(tap(*arguments), quantity)

    kind = quantity.measurement
    if isinstance(kind, ExactLaw):
        return kind._replace(forward=kind.forward._replace(tap=check(kind.forward.tap)))
    if isinstance(kind, Trained):
        tap = kind.tap
        return kind._replace(tap=lambda spec, inputs: check(tap(spec, inputs)))
    return kind._replace(tap=check(kind.tap))


def _all(values: Any, kind: type) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)


def _are_names(values: Any) -> bool:
    return _all(values, str) and 0 < len(values) == len({*values})


def _names_of(kinds: Any) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _require(quantity: Quantity, field: str, holds: bool, allowed: str) -> None:
    if not holds:
        value: Any = quantity
        for name in field.split("."):
            value = getattr(value, name)
        given = f"the quantity {quantity.name!r:.80} with {field}={value!r:.80}"
        raise SpecError(given, allowed, "Write quantity._replace(...); see Quantity.")


def _returned(quantity: Quantity, function: str, value: Any, allowed: str) -> str:
    given = f"{value!r:.80} from measurement.{function} of the quantity {quantity.name!r:.80}"
    return refusal(given, allowed, "Correct that function.")
