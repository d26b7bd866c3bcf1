"""Finite precision as a model: an activation whose values are kept to multiples of rho, or to 0 below rho.

The chain x_t = Q(phi(W_t x_{t-1})), Q the rounding to multiples of rho, is the network of the rounded activation Q o phi: every linear map,
weight law, width and quantity works as for any other activation. Once all values are 0 they stay 0.

Floating-point numbers keep the leading digits of a signal at any size, down to the smallest number: what is smaller becomes 0. XLA does so
below 2^-126 in float32 and bfloat16 ("flush": no subnormal numbers); float16 has subnormal numbers, the multiples of 2^-24.
"""

import json
from typing import Any, Literal

from deepinit.core import validate
from deepinit.core.activation import Activation
from deepinit.core.activations import as_activation
from deepinit.core.array_api import array_namespace
from deepinit.core.errors import SpecError

ROUNDINGS = ("nearest", "truncate", "flush")
Rounding = Literal["nearest", "truncate", "flush"]

# Below, grid points would lie beside values that the forward pass evaluates at a larger scale (see `networks.forward`).
_FINEST_GRID = 1e-13

_STORED: dict[str, tuple[float, Rounding]] = {
    "float32": (2.0**-126, "flush"),
    "bfloat16": (2.0**-126, "flush"),
    "float16": (2.0**-24, "nearest"),
}


def rounded(activation: Any, rho: float, rounding: Rounding = "nearest") -> Activation:
    """Q(phi(x)): values to multiples of rho, or to 0 where they are smaller than rho.

    Args:
        activation: anything that is an activation.
        rho: the spacing of the grid, in (0, 1); for `flush` the smallest value that is kept.
        rounding: `nearest` multiple (halves away from 0), or `truncate` toward 0: sign(x) floor(|x| / rho) rho. The rounding mode is
            part of the model: truncation never increases |x|, nearest rounding can keep a signal alive. `flush`: values smaller
            than rho in absolute value become 0, all others are kept; rho may be smaller than any number of the dtype.

    Raises:
        SpecError: a rho outside (0, 1), a grid finer than 1e-13, an unknown rounding, an activation that is rounded already.

    Reference: Avelin & Karlsson 2022, arXiv 2104.10727 (truncation); Avelin 2026, arXiv 2608.15914 (nearest).
    """
    inner = as_activation(activation)
    if inner.name == "rounded":
        raise SpecError(f"the activation {inner}", "one that is not rounded yet", "Round once.")
    number = validate.real_number(rho)
    if number is None or not 0.0 < number < 1.0:
        raise SpecError(
            f"rho={rho!r}", "a number between 0 and 1, ends excluded", "0.001 keeps three digits."
        )
    name = validate.choice("rounding", rounding, ROUNDINGS)
    if name != "flush" and number < _FINEST_GRID:
        raise SpecError(
            f"a grid of rho={number:g}",
            f"rho from {_FINEST_GRID:g} on",
            "rounding='flush' models the smallest number of floating-point arithmetic.",
        )

    return Activation(
        "rounded",
        _rounded,
        parameters=(("activation", inner), ("rho", number), ("rounding", name)),
        derivative_fn=_rounded_derivative if inner.is_builtin else None,
        difference_fn=_rounded_difference,
    )


def from_parameters(activation: Any, rho: float, rounding: Rounding) -> Activation:
    """The rounded activation of a JSON record, whose inner one is a name or a record as text."""
    is_record = isinstance(activation, str) and activation.startswith("{")
    return rounded(json.loads(activation) if is_record else activation, rho, rounding)


def stored(activation: Any, dtype: str) -> Activation:
    """phi with values that underflow as those of a dtype do: 0 below its smallest number.

    float32, bfloat16: `rounded(activation, 2**-126, "flush")`; float16: `rounded(activation, 2**-24, "nearest")`, its subnormal numbers.
    What is modelled is the underflow of activations, not the rounding of the mantissa, and not the underflow inside of a matrix
    product: its terms w_ij x_j are smaller than x_j, and where they are flushed too (float32 and bfloat16 on XLA) a signal is lost
    earlier, by 1.5 layers at width 16 and 2.7 at width 64 for tanh with weights U(-1, 1) / sqrt(width) (`theory.cutoff.underflow_layer`
    says by how much). In float16 products are taken in float32 and do not underflow.

    Args:
        activation: anything that is an activation.
        dtype: "float32", "bfloat16" or "float16".

    Raises:
        SpecError: another dtype; an activation that `rounded` refuses.

    Reference: IEEE 754; arXiv 2104.10727 for the cut-off that this is.
    """
    if dtype not in _STORED:
        raise SpecError(
            f"dtype={dtype!r}", ", ".join(_STORED), "Write di.rounded for another precision."
        )
    return rounded(activation, *_STORED[dtype])


def flush_level(activation: Activation) -> float:
    """The value below which an activation's values are 0 by `flush`; 0 where there is none."""
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
    """Of two multiples of rho; of two values that are not flushed, that of the inner activation."""
    xp = array_namespace(x, dx)
    direct = _rounded(x + dx, activation, rho, rounding) - _rounded(x, activation, rho, rounding)
    if rounding != "flush":
        return direct
    kept = (xp.abs(activation(x)) >= rho) & (xp.abs(activation(x + dx)) >= rho)
    return xp.where(kept, activation.difference(x, dx), direct)


def to_grid(values: Any, rho: float, rounding: Rounding) -> Any:
    """Q(x), elementwise.

    The forward pass, where values have a log-scale beside them, flushes those below rho itself. The quotient by rho is taken in the dtype of the values: within a rounding of a grid point either neighbour may be met.
    """
    xp = array_namespace(values)
    if rounding == "flush":
        return xp.where(xp.abs(values) < rho, xp.zeros_like(values), values)
    steps = xp.abs(values) / rho
    whole = xp.floor(steps + 0.5) if rounding == "nearest" else xp.floor(steps)
    return xp.sign(values) * whole * rho
