"""Numbers that are known when a program is read.

JAX computes what is the same in every step of a differentiated loop before the loop: bounds of
uniform draws enter it as arrays.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.deferral.program import Constant, Equation, Program
from deepinit.deferral.scans import layout_of


def with_numbers(program: Program, known: dict[int, Constant] | None = None) -> Program:
    """The program with constants for arrays of one known number, in loops too.

    Args:
        known: inputs.
    """
    known = dict(known or {})
    put = lambda operand: known.get(operand, operand) if isinstance(operand, int) else operand
    equations = []
    for equation in program.equations:
        equation = dataclasses.replace(equation, inputs=tuple(map(put, equation.inputs)))
        if equation.body is not None:
            equation = dataclasses.replace(equation, body=_body(equation, equation.body))
        number = _number(equation)
        if number is not None:
            known[equation.outputs[0]] = Constant(number)
        equations.append(equation)
    return Program(program.inputs, tuple(map(put, program.outputs)), tuple(equations))


def _body(equation: Equation, body: Program) -> Program:
    count = layout_of(equation).num_consts
    pairs = zip(body.inputs[:count], equation.inputs[:count], strict=True)
    known = {own: operand for own, operand in pairs if isinstance(operand, Constant)}
    return with_numbers(body, {own: c for own, c in known.items() if _is_number(c.value)})


def _number(equation: Equation) -> Any:
    """The only number of its output; None if it is not known, or there are more."""
    if equation.primitive.name not in ("broadcast_in_dim", "sub") or equation.shapes[0].size != 1:
        return None
    values = [operand.value for operand in equation.inputs if isinstance(operand, Constant)]
    if len(values) < len(equation.inputs) or not all(map(_is_number, values)):
        return None
    first, *rest = (np.asarray(value).reshape(()) for value in values)
    shape = equation.shapes[0]
    return np.full(shape.shape, first - sum(rest, np.zeros_like(first)), shape.dtype)


def _is_number(value: Any) -> bool:
    if value is None or isinstance(value, jax.core.Tracer):
        return False
    dtype = value.dtype if hasattr(value, "dtype") else np.result_type(type(value))
    return np.size(value) == 1 and jnp.issubdtype(dtype, jnp.floating)
