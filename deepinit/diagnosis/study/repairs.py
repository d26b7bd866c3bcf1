"""Interventions on a network that fails; each gives a changed configuration."""

import math
from typing import Any

from deepinit.diagnosis.stack_theory import moments
from deepinit.diagnosis.study.activations import activation
from deepinit.diagnosis.study.draw import critical_or_none

REPAIRS = ("critical", "residual", "norm")


def repairs(network: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The changed networks by name; what changes nothing, or has no critical point, is left out.

    - critical: weights, first layer and biases of `di.critical`. Transformers: unit variances,
      temperature 1, branches x (2 depth)^-1/2. Gates: variances that keep a mean square of 1.
    - residual: a skip, branches x depth^-1/2, with critical weights where there are any.
    - norm: LayerNorm before every activation (transformers: pre-norm; gates: RMSNorm).
    """
    found = _FAMILIES.get(network["family"], _of_stack)(network)
    return {name: changed for name, changed in found.items() if changed != network}


def _of_stack(network: dict[str, Any]) -> dict[str, dict[str, Any]]:
    point = critical_or_none(network["activation"])
    found, critical = {}, network
    if point is not None:
        first = point.weight_var if point.first_weight_var is None else point.first_weight_var
        changed = {"weight": point.weight_var, "first": first, "bias": point.bias_var}
        critical = network | {name: float(f"{value:.6g}") for name, value in changed.items()}
        found["critical"] = critical
    found["residual"] = critical | {"skip": 1.0, "alpha": _root(network["depth"])}
    if network["norm"] == "none":
        found["norm"] = network | {"norm": "layer"}
    return found


def _of_transformer(network: dict[str, Any]) -> dict[str, dict[str, Any]]:
    unit = {
        "value": 1.0,
        "output": 1.0,
        "inner": 1.0,
        "outer": _gain(network["activation"]),
        "temperature": 1.0,
        "alpha": _root(2 * network["depth"]),
    }
    return {"critical": network | unit, "norm": network | {"norm": "pre"}}


def _of_gated(network: dict[str, Any]) -> dict[str, dict[str, Any]]:
    # phi(G) and U are independent: E (phi(G) U)^2 = E phi^2
    critical = network | {"gate": 1.0, "up": 1.0, "down": _gain(network["activation"])}
    residual = critical | {"skip": 1.0, "alpha": _root(network["depth"])}
    return {"critical": critical, "residual": residual, "norm": network | {"norm": "rms"}}


def _gain(name: str) -> float:
    return float(f"{1 / moments(activation(name), 1.0).square:.6g}")


def _root(depth: int) -> float:
    return float(f"{1 / math.sqrt(depth):.6g}")


_FAMILIES = {"transformer": _of_transformer, "gated": _of_gated}
