"""Checks of rounding, layer numbers and activations with phi(0) = 0."""

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import derivatives, values
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real

# Level k of the lattice: |phi| >= (k - offset) rho. Truncation is toward zero.
OFFSETS = {"truncate": 0.0, "nearest": 0.5}

_NEXT_TO_ZERO = 1e-30  # argument of one-sided derivatives at 0, far from underflow


def check_rounding(rounding: str) -> float:
    """The offset of the levels."""
    if isinstance(rounding, str) and rounding == "flush":
        remedy = "For underflow take `rounded_survival`, `rounded_orbit` or `underflow_layer`."
        raise SpecError("rounding='flush', which has no grid", "'truncate' or 'nearest'", remedy)
    remedy = "Truncation is toward zero; arithmetic units round to nearest."
    return OFFSETS[validate.choice("rounding", rounding, tuple(OFFSETS), remedy)]


def check_layers(layers: Real[Array, "*shape"] | Plain) -> Float[np.ndarray, "*shape"]:
    """Layer numbers t >= 0 as float64, of any shape."""
    numbers = validate.array("layers", layers, remedy="Write numpy.arange(20).")
    validate.require(
        (numbers >= 0.0).all(), f"layers={layers!r:.200}", "numbers >= 0", "Drop them."
    )
    return numbers


def fixing_zero(activation: ActivationLike) -> Activation:
    """The activation, refused unless phi(0) = 0."""
    checked = as_activation(activation)
    at_zero = float(values(checked, np.zeros(1))[0])
    if not abs(at_zero) <= 1e-12:
        given = f"the activation {checked!r}, whose value at 0 is {at_zero:.4g}"
        allowed = "activations with phi(0) = 0 (linear, ReLU, tanh, SiLU, ...)"
        remedy = "Otherwise take the distance of two inputs: `mean_field_cutoff`."
        raise SpecError(given, allowed, remedy)
    return checked


def slopes_at_zero(activation: ActivationLike) -> tuple[float, float]:
    """(phi'(0-), phi'(0+)); SpecError for phi(0) != 0 or both derivatives 0."""
    checked = fixing_zero(activation)
    if checked.slopes is not None:
        left, right = checked.slopes
    else:
        left, right = map(float, derivatives(checked, np.array([-_NEXT_TO_ZERO, _NEXT_TO_ZERO])))
    if not max(abs(left), abs(right)) > 1e-12:
        given = f"the activation {checked!r}, whose derivative at 0 is 0"
        allowed = "activations with a derivative other than 0 on at least one side of 0"
        raise SpecError(given, allowed, "Small signals vanish faster than exponentially: no drift.")
    return left, right
