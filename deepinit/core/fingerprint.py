"""Identity of users' functions: source, and values at fixed points.

Values have the digits that are equal on all processors; the source separates functions that agree.
"""

from typing import Any

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.activations import BUILTIN
from deepinit.core.gaussian import on_host
from deepinit.core.network_values import network_values
from deepinit.core.source_records import source_record as source_record

_PRECISIONS = {7: "float64", 3: "float32"}
_POINTS = np.array([-7.31, -2.17, -0.613, -0.0371, 0.0523, 0.719, 1.93, 6.47])


def is_builtin(activation: Activation) -> bool:
    """Whether deepinit defines it and its inner activation."""
    parameters: dict[str, Any] = dict(activation.parameters)
    if activation.name == "rounded":
        return is_builtin(parameters["activation"])
    return activation.name in BUILTIN and activation == BUILTIN[activation.name](**parameters)


def activation_record(activation: Activation) -> dict[str, str]:
    """Source, and 8 values to 7 digits of the largest."""
    if activation.name == "rounded":
        return activation_record(dict(activation.parameters)["activation"])  # type: ignore[arg-type]
    return {**source_record(activation), "values": rounded_values(on_host(activation, _POINTS), 7)}


def network_record(network: Any, source: Any, input_width: int) -> dict[str, str]:
    """Source (of a module or functions), and outputs of a network (`network_values`)."""
    outputs = network_values(network.init, network.apply, input_width)
    return {**source_record(source), "values": shown_values(*outputs)}


def shown_values(values: np.ndarray, digits: int) -> str:
    """Text of the result of `network_values.values_at`."""
    if not digits:
        return "none in float32 or float64"
    return f"{_PRECISIONS[digits]}: {rounded_values(values, digits)}"


def rounded_values(values: np.ndarray, digits: int) -> str:
    """Largest size, and rounded multiples of it, as text."""
    values = np.asarray(values, np.float64).ravel()
    sizes = np.abs(values[np.isfinite(values)])
    largest = float(sizes.max(initial=0.0)) or 1.0
    relative = np.round(values / largest, digits) + 0.0  # no -0
    return " ".join([f"{largest:.{digits - 1}e} *", *(f"{value:.{digits}f}" for value in relative)])
