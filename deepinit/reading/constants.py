"""Equations of constants alone, evaluated once."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np

from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Constant, Equation, Operand, Program

_LARGEST = 2**24  # numbers of an array that is worth evaluating


def folded(program: Program) -> Program:
    """The program with what depends on no input as constants, in bodies of loops too."""
    fixed: set[int] = set()
    equations, kept = [], []
    for equation in program.equations:
        if equation.body is not None:
            equation = dataclasses.replace(equation, body=folded(equation.body))
        if _is_fixed(equation, fixed):
            fixed |= set(equation.outputs)
            equations.append(equation)
        else:
            kept.append(equation)
    read = {operand for equation in kept for operand in equation.inputs} | set(program.outputs)
    wanted = tuple(sorted(operand for operand in read if operand in fixed))
    values = dict(zip(wanted, _evaluated(tuple(equations), wanted), strict=True))
    swap = lambda operand: Constant(values[operand]) if operand in values else operand
    kept = [
        dataclasses.replace(equation, inputs=tuple(map(swap, equation.inputs))) for equation in kept
    ]
    return Program(program.inputs, tuple(map(swap, program.outputs)), tuple(kept))


def _is_fixed(equation: Equation, fixed: set[int]) -> bool:
    known = all(isinstance(operand, Constant) or operand in fixed for operand in equation.inputs)
    size = max((math.prod(shape.shape) for shape in equation.shapes), default=0)
    return known and not equation.has_effects and size <= _LARGEST


def _evaluated(equations: tuple[Equation, ...], wanted: tuple[Any, ...]) -> list[Any]:
    if not wanted:
        return []

    def values() -> list[Any]:
        known: dict[int, Any] = {}
        value = lambda operand: operand.value if isinstance(operand, Constant) else known[operand]
        for equation in equations:
            found = bind(equation, [value(operand) for operand in equation.inputs])
            known |= zip(equation.outputs, found, strict=True)
        return [known[number] for number in wanted]

    return [as_numpy(value) for value in jax.jit(values)()]


def as_numpy(value: Any) -> Any:
    """A NumPy array; keys stay as they are."""
    if jax.dtypes.issubdtype(getattr(value, "dtype", np.float32), jax.dtypes.extended):
        return value
    return np.asarray(value)


def uniform_value(operand: Operand) -> float | None:
    """The value of a constant whose entries are equal; None for others."""
    if not isinstance(operand, Constant):
        return None
    array = as_numpy(operand.value)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub" or not array.size:
        return None
    first = array.ravel()[0]
    return float(first) if (array == first).all() else None


def short(number: float) -> float:
    """The shortest decimal that rounds to the same float32."""
    return float(str(np.float32(number)))
