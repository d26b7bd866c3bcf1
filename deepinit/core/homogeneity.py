"""Proof of positive homogeneity, phi(c x) = c phi(x), from the jaxpr of phi.

Each intermediate value has a degree d, v(c x) = c^d v(x): 1 for x; 0 for constants and comparisons
of equal degrees; sums for products. Samples prove nothing.
"""

import math
from typing import Any

import numpy as np

from deepinit.core.switches import inner_jaxpr

_ANY = math.inf  # of 0 and of infinities
_NEVER = -math.inf  # of x != x, false but at NaN
_NONE = math.nan  # of values that are not homogeneous
_SAME = {
    "neg", "abs", "copy", "reshape", "broadcast_in_dim", "squeeze", "expand_dims",
    "stop_gradient", "slice", "transpose", "rev",
}  # fmt: skip
_JOINED = {"add", "sub", "max", "min", "clamp", "add_any", "concatenate"}
_COMPARED = {"gt", "lt", "ge", "le", "eq", "ne", "sign"}
_POWERS = {"square": 2.0, "sqrt": 0.5, "rsqrt": -0.5, "cbrt": 1.0 / 3.0}


def is_homogeneous(jaxpr: Any) -> bool:
    """Whether a closed jaxpr of one array is homogeneous."""
    (degree,) = _degrees(jaxpr.jaxpr, [_constant(value) for value in jaxpr.consts], [1.0])
    return degree in (1.0, _ANY)


def _constant(value: Any) -> float:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        return 0.0
    limit = np.finfo(array.dtype).max if array.dtype.kind == "f" else np.inf
    return 0.0 if ((array != 0) & (np.abs(array) < limit)).any() else _ANY


def _degrees(jaxpr: Any, consts: list[float], arguments: list[float]) -> list[float]:
    degrees: dict[Any, float] = dict(zip(jaxpr.constvars, consts, strict=True))
    degrees.update(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: _constant(atom.val) if hasattr(atom, "val") else degrees[atom]
    for equation in jaxpr.eqns:
        outputs = _of_equation(equation, [read(atom) for atom in equation.invars])
        degrees.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _of_equation(equation: Any, inputs: list[float]) -> list[float]:
    inner = inner_jaxpr(equation)
    if inner is not None:
        return _degrees(inner[0], [_constant(value) for value in inner[1]], inputs)
    degree = _of_primitive(equation.primitive.name, equation.params, equation.invars, inputs)
    return [degree] * len(equation.outvars)


def _of_primitive(name: str, params: Any, atoms: Any, inputs: list[float]) -> float:
    if name in _SAME:
        return inputs[0]
    if name in _JOINED:
        return _joined(inputs)
    if name == "ne" and atoms[0] is atoms[1]:
        return _NEVER
    if name in _COMPARED:
        return _NONE if math.isnan(_joined(inputs)) else 0.0
    if name == "select_n" and inputs[0] == _NEVER:
        return inputs[1]
    if name == "select_n":
        return _joined(inputs[1:]) if inputs[0] in (0.0, _ANY) else _NONE
    if name == "mul":
        return _ANY if _ANY in inputs else sum(inputs)
    if name == "div":
        return inputs[0] if inputs[0] == _ANY else inputs[0] - inputs[1]
    if name in _POWERS:
        return inputs[0] if inputs[0] == _ANY else inputs[0] * _POWERS[name]
    if name == "integer_pow":
        return inputs[0] * params["y"]
    if name == "pow" and hasattr(atoms[1], "val") and np.ndim(atoms[1].val) == 0:
        return inputs[0] * float(atoms[1].val)
    if name == "convert_element_type" and np.issubdtype(params["new_dtype"], np.floating):
        return inputs[0]
    return 0.0 if all(degree in (0.0, _ANY) for degree in inputs) else _NONE


def _joined(inputs: list[float]) -> float:
    """Common degree of all values; 0 has every degree."""
    proper = {degree for degree in inputs if degree != _ANY}
    if not proper:
        return _ANY
    return proper.pop() if len(proper) == 1 else _NONE
