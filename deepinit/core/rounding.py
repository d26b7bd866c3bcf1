"""Finite precision as a model: an activation whose values are kept to multiples of rho.

The chain x_t = Q(phi(W_t x_{t-1})), Q the rounding to multiples of rho, is the network of the rounded activation Q o phi: every linear map,
weight law, width and quantity works as for any other activation. Once all values are 0 they stay 0.
"""

import json
from typing import Any, Literal

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError, refusal
from deepinit.core.namespace import array_namespace

ROUNDINGS = ("nearest", "truncate")
Rounding = Literal["nearest", "truncate"]


def rounded(activation: Any, rho: float, rounding: Rounding = "nearest") -> Activation:
    """Q(phi(x)): values to multiples of rho.

    Args:
        activation: anything that is an activation.
        rho: the spacing of the grid, in (0, 1).
        rounding: `nearest` multiple (halves away from 0), or `truncate` toward 0: sign(x) floor(|x| / rho) rho. The rounding mode is
            part of the model: truncation never increases |x|, nearest rounding can keep a signal alive.

    Raises:
        SpecError: a rho outside (0, 1), an unknown rounding, an activation that is rounded already, or that no import can reach.

    Reference: Avelin & Karlsson 2022, arXiv 2104.10727 (truncation); Avelin 2026, arXiv 2608.15914 (nearest).
    """
    inner = as_activation(activation)
    if inner.name == "rounded":
        raise SpecError(refusal(f"the activation {inner}", "one that is not rounded yet", "Round once."))
    number = isinstance(rho, int | float) and not isinstance(rho, bool)
    if not (number and 0.0 < rho < 1.0):
        raise SpecError(refusal(f"rho={rho!r}", "a number between 0 and 1, ends excluded", "0.001 keeps three digits."))
    if rounding not in ROUNDINGS:
        raise SpecError(refusal(f"rounding={rounding!r}", ", ".join(ROUNDINGS), "Check the spelling."))

    record = inner.to_json()
    text = record["name"] if len(record) == 1 else json.dumps(record, sort_keys=True)
    parameters = (("activation", text), ("rho", float(rho)), ("rounding", rounding))
    return Activation("rounded", _rounded, parameters)


def _rounded(x: Any, activation: str, rho: float, rounding: Rounding) -> Any:
    return to_grid(unrounded(activation)(x), rho, rounding)


def unrounded(text: str) -> Activation:
    """The activation that the parameter `activation` of a rounded one names."""
    return as_activation(json.loads(text) if text.startswith("{") else text)


def to_grid(values: Any, rho: float, rounding: Rounding) -> Any:
    """Q(x), elementwise.

    The quotient by rho is taken in the dtype of the values: within a rounding of a grid point either neighbour may be met.
    """
    xp = array_namespace(values)
    steps = xp.abs(values) / rho
    whole = xp.floor(steps + 0.5) if rounding == "nearest" else xp.floor(steps)
    return xp.sign(values) * whole * rho
