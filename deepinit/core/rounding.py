"""Finite precision: activations rounded to multiples of rho, or flushed below rho.

The chain x_t = Q(phi(W_t x_{t-1})) has activation Q o phi; once all values are 0 they stay 0. XLA
flushes below 2^-126 in float32 and bfloat16 (no subnormal numbers); float16 has multiples of 2^-24.
"""

from typing import Any, Literal

from deepinit.core import validate
from deepinit.core.activation import Activation
from deepinit.core.array_api import array_namespace
from deepinit.core.errors import SpecError
from deepinit.core.typing import Float, Like

ROUNDINGS = ("nearest", "truncate", "flush")
Rounding = Literal["nearest", "truncate", "flush"]

# The forward pass evaluates activations at a larger scale than the values (`networks.forward`).
_FINEST_GRID = 1e-13

STORED: dict[str, tuple[float, Rounding]] = {
    "float32": (2.0**-126, "flush"),
    "bfloat16": (2.0**-126, "flush"),
    "float16": (2.0**-24, "nearest"),
}


def rounded_activation(inner: Activation, rho: float, rounding: Rounding) -> Activation:
    """Q(phi(x)); see `activations.rounded`."""
    if inner.name == "rounded":
        raise SpecError(f"the activation {inner}", "one that is not rounded yet", "Round once.")
    spacing = validate.fraction("rho", rho, "0.001 keeps three digits.")
    if rounding != "flush" and spacing < _FINEST_GRID:
        remedy = "rounding='flush' models the smallest number of floating-point arithmetic."
        raise SpecError(f"a grid of rho={spacing:g}", f"rho >= {_FINEST_GRID:g}", remedy)
    return Activation(
        "rounded",
        _rounded,
        parameters=(("activation", inner), ("rho", spacing), ("rounding", rounding)),
        derivative_fn=_rounded_derivative if inner.is_builtin else None,
        difference_fn=_rounded_difference,
    )


def flush_level(activation: Activation) -> float:
    """Smallest nonzero value under `flush`; 0 without flushing."""
    if activation.name != "rounded":
        return 0.0
    parameters: dict[str, Any] = dict(activation.parameters)
    return parameters["rho"] if parameters["rounding"] == "flush" else 0.0


def _rounded(x: Any, activation: Activation, rho: float, rounding: Rounding) -> Any:
    return to_grid(activation(x), rho, rounding)


def _rounded_derivative(x: Any, activation: Activation, rho: float, rounding: Rounding) -> Any:
    xp, slope = array_namespace(x), activation.derivative(x)
    flat = xp.abs(activation(x)) < rho if rounding == "flush" else xp.ones_like(x, dtype=bool)
    return xp.where(flat, xp.zeros_like(slope), slope)


def _rounded_difference(
    x: Any, dx: Any, activation: Activation, rho: float, rounding: Rounding
) -> Any:
    """Exact difference of rounded values; the inner one if none is flushed."""
    xp = array_namespace(x, dx)
    direct = _rounded(x + dx, activation, rho, rounding) - _rounded(x, activation, rho, rounding)
    if rounding != "flush":
        return direct
    intact = (xp.abs(activation(x)) >= rho) & (xp.abs(activation(x + dx)) >= rho)
    return xp.where(intact, activation.difference(x, dx), direct)


def to_grid(values: Float[Like, "*shape"], rho: float, rounding: Rounding) -> Float[Like, "*shape"]:
    """Q(x); near a midpoint of x / rho, taken in the dtype of x, either neighbour.

    The forward pass flushes values with a log-scale itself.
    """
    xp = array_namespace(values)
    if rounding == "flush":
        return xp.where(xp.abs(values) < rho, xp.zeros_like(values), values)
    steps = xp.abs(values) / rho
    whole = xp.floor(steps + 0.5) if rounding == "nearest" else xp.floor(steps)
    return xp.sign(values) * whole * rho
