"""Parts of drawn arrays that a loop takes in every step, taken before the loop.

A part is an array of its own; taken in a step it would be another one in every step.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from deepinit.deferral.program import Constant, Equation, Params, Program, read
from deepinit.deferral.session import Session
from deepinit.deferral.values import Implicit, NotDeferred

_PARTS = frozenset({"slice", "split", "unstack"})
# Parameters with one more axis in front, of a size.
_WITH_AXIS: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "slice": lambda own, size: {
        "start_indices": (0, *own["start_indices"]),
        "limit_indices": (size, *own["limit_indices"]),
        "strides": own["strides"] and (1, *own["strides"]),
    },
    "split": lambda own, size: {"axis": own["axis"] + 1},
    "unstack": lambda own, size: {"axis": own["axis"] + 1},
    "squeeze": lambda own, size: {"dimensions": tuple(axis + 1 for axis in own["dimensions"])},
    "transpose": lambda own, size: {"permutation": (0, *(axis + 1 for axis in own["permutation"]))},
    "reshape": lambda own, size: {},
    "convert_element_type": lambda own, size: {},
    "neg": lambda own, size: {},
    "mul": lambda own, size: {},
    "div": lambda own, size: {},
}


def parts_before(
    session: Session, body: Program, inputs: dict[int, Any], length: int | None
) -> dict[int, Any]:
    """Parts of implicit arrays by the variables of a body that hold them; None for what is no
    longer needed of inputs and of views between.

    Args:
        inputs: by variables; stacked, or whole.
        length: of the loop, for stacked inputs.
    """
    known = {name: value for name, value in inputs.items() if _has_draws(value)}
    found: dict[int, Any] = {}
    for number, equation in enumerate(body.equations):
        values = [
            operand.value if isinstance(operand, Constant) else known.get(operand)
            for operand in equation.inputs
        ]
        if equation.primitive.name not in _WITH_AXIS or not any(map(_has_draws, values)):
            continue
        if any(value is None for value in values):
            continue
        if length is not None:
            equation = _stacked(equation, length)
        try:
            outputs = session.rules[equation.primitive.name](session, number, equation, values)
        except NotDeferred:
            continue
        known |= zip(equation.outputs, outputs, strict=True)
        if equation.primitive.name in _PARTS:
            found |= zip(equation.outputs, outputs, strict=True)
    if not found:
        return {}
    needed = read(body, found)
    return found | dict.fromkeys(known.keys() - found.keys() - needed)


def _has_draws(value: Any) -> bool:
    return isinstance(value, Implicit) and bool(value.bases)


def _stacked(equation: Equation, length: int) -> Equation:
    params = equation.params | _WITH_AXIS[equation.primitive.name](equation.params, length)
    shapes = tuple(
        jax.ShapeDtypeStruct((length, *shape.shape), shape.dtype) for shape in equation.shapes
    )
    return dataclasses.replace(equation, params=Params(params), shapes=shapes)
