"""What the theory of the cut-off accepts: mesh, rounding, gain, width, weight laws, and what activations it needs."""

import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import BUILTIN, Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import on_host, values

# Level k of the lattice is taken from |phi| >= (k - offset) rho on: truncation toward zero, or nearest.
OFFSETS = {"truncate": 0.0, "nearest": 0.5}

# Where one-sided derivatives at 0 are read off: beyond the reach of any second derivative, and still far from underflow.
_NEXT_TO_ZERO = 1e-30


def check_rho(rho: Any) -> float:
    """The mesh of the lattice, 0 < rho < 1."""
    if not (validate.is_number(rho) and 0.0 < rho < 1.0):
        raise SpecError(
            f"rho={rho!r}", "a number with 0 < rho < 1", "rho=1e-3 keeps three decimals."
        )
    return float(rho)


def check_rounding(rounding: Any) -> float:
    """The offset of the levels: k is reached from |phi| = (k - offset) rho on."""
    if rounding == "flush":
        raise SpecError(
            "rounding='flush', whose values keep to no grid",
            "'truncate' or 'nearest'",
            "For underflow take `rounded_survival`, `rounded_orbit` or `underflow_layer`.",
        )
    if not isinstance(rounding, str) or rounding not in OFFSETS:
        raise SpecError(
            f"rounding={rounding!r}",
            "'truncate' (toward zero) or 'nearest'",
            "Truncation reproduces the published curves; arithmetic units round to nearest.",
        )
    return OFFSETS[rounding]


def check_positive(name: str, given: Any, remedy: str) -> float:
    """A finite number > 0."""
    if not (validate.is_number(given) and 0.0 < given < math.inf):
        raise SpecError(f"{name}={given!r}", "a finite number > 0", remedy)
    return float(given)


def check_not_negative(name: str, given: Any, remedy: str) -> float:
    """A finite number >= 0."""
    if not (validate.is_number(given) and 0.0 <= given < math.inf):
        raise SpecError(f"{name}={given!r}", "a finite number >= 0", remedy)
    return float(given)


def check_gain(gain: Any) -> float:
    """A > 0, the square root of the weight variance times fan_in."""
    return check_positive(
        "gain", gain, "The gain is the square root of the weight variance times fan_in."
    )


def check_width(width: Any) -> int:
    """An integer >= 1."""
    validate.integer("width", width, 1, "Give every layer a whole number of neurons.")
    return int(width)


def check_depth(depth: Any) -> int:
    """A number of layers >= 0."""
    validate.integer("depth", depth, 0, "The curve has depth + 1 entries, from layer 0 on.")
    return int(depth)


def check_layers(layers: Any) -> np.ndarray:
    """Layer numbers t >= 0 as float64, of any shape."""
    try:
        numbers = (
            np.asarray(layers, dtype=np.float64)
            if not isinstance(layers, str)
            else np.asarray(math.nan)
        )
    except (TypeError, ValueError):
        numbers = np.asarray(math.nan)
    if not (np.isfinite(numbers) & (numbers >= 0.0)).all():
        raise SpecError(f"layers={layers!r}", "finite numbers >= 0", "Write numpy.arange(20).")
    return numbers


def fixing_zero(activation: Any) -> Activation:
    """The activation, refused unless phi(0) = 0: otherwise 0 absorbs nothing."""
    checked = as_activation(activation)
    at_zero = float(values(checked, np.zeros(1))[0])
    if not abs(at_zero) <= 1e-12:
        raise SpecError(
            f"the activation {checked!r}, whose value at 0 is {at_zero:.4g}",
            "activations with phi(0) = 0 (linear, ReLU, tanh, SiLU, ...), for which a signal of 0 stays 0",
            "With phi(0) != 0, or with biases, take the distance of two inputs: see `mean_field_cutoff`.",
        )
    return checked


def derivative(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi'(x) in float64 on the host; built-ins need no JAX."""
    if activation.name in BUILTIN:
        return np.asarray(activation.derivative(x), dtype=np.float64)
    return on_host(activation.derivative, x)


def slopes_at_zero(activation: Any) -> tuple[float, float]:
    """(phi'(0-), phi'(0+)): the layer as small signals see it.

    Raises:
        SpecError: phi(0) != 0, or both slopes 0.
    """
    checked = fixing_zero(activation)
    if checked.slopes is not None:
        left, right = checked.slopes
    else:
        left, right = map(float, derivative(checked, np.array([-_NEXT_TO_ZERO, _NEXT_TO_ZERO])))
    if not max(abs(left), abs(right)) > 1e-12:
        raise SpecError(
            f"the activation {checked!r}, whose slope at 0 is 0",
            "activations with a slope other than 0 on at least one side of 0",
            "Without a slope small signals vanish faster than exponentially; there is no drift per layer.",
        )
    return left, right
