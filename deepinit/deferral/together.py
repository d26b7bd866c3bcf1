"""Products with one drawn array that are one use of it: of rows and of their tangents."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.deferral.program import Equation, Program
from deepinit.deferral.values import Implicit


class Together(NamedTuple):
    """One product of several arrays of rows.

    Attributes:
        equation: of all rows.
        values: its operands.
        outputs: variables of the products, in order of the rows.
        axis: of the rows in the result.
    """

    equation: Equation
    values: list[Any]
    outputs: tuple[int, ...]
    axis: int

    def parts(self, result: Any) -> list[Any]:
        """The products."""
        return jnp.split(result, len(self.outputs), self.axis)


def together(
    program: Program, number: int, values: list[Any], known: Mapping[Any, Any]
) -> Together | None:
    """An equation, a product with a drawn array, with later ones that differ in their rows alone;
    None if there are none whose rows are known.

    Args:
        values: operands of the equation.
        known: values by variables.
    """
    own = program.equations[number]
    is_drawn = [isinstance(value, Implicit) and bool(value.bases) for value in values]
    if own.primitive.name != "dot_general" or sum(is_drawn) != 1:
        return None
    side, drawn = is_drawn.index(False), is_drawn.index(True)
    contracted, batch = own.params["dimension_numbers"]
    free = [
        [axis for axis in range(len(shape)) if axis not in (*inner, *shared)]
        for shape, inner, shared in zip(own.operand_shapes, contracted, batch, strict=True)
    ]
    alike = [
        other
        for other in program.equations[number:]
        if other.primitive is own.primitive
        and other.params == own.params
        and other.inputs[drawn] == own.inputs[drawn]
        and (other.operand_shapes, other.shapes) == (own.operand_shapes, own.shapes)
        and isinstance(known.get(other.inputs[side]), jax.Array)
    ]
    if len(alike) < 2 or alike[0] is not own or not free[side]:
        return None
    rows = jnp.concatenate([known[other.inputs[side]] for other in alike], free[side][0])
    axis, shape = len(batch[0]) + side * len(free[0]), list(own.shapes[0].shape)
    shape[axis] *= len(alike)
    shapes = (jax.ShapeDtypeStruct(tuple(shape), own.shapes[0].dtype),)
    operands = [rows, values[1]] if side == 0 else [values[0], rows]
    outputs = tuple(other.outputs[0] for other in alike)
    return Together(dataclasses.replace(own, shapes=shapes), operands, outputs, axis)
