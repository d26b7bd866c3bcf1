"""Arrays side by side: gates of an LSTM, fused projections, padding."""

import dataclasses
import itertools
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.interpret import evaluated
from deepinit.deferral.program import Equation
from deepinit.deferral.session import Session
from deepinit.deferral.values import Blocks, Implicit, NotDeferred


def _concatenated(session: Session, number: int, equation: Equation, values: list[Any]) -> Any:
    return [_blocks(equation, values, equation.params["dimension"])]


def _padded(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Between two arrays of the padding value."""
    array, value = values
    widths = equation.params["padding_config"]
    axes = [axis for axis, width in enumerate(widths) if tuple(width) != (0, 0, 0)]
    if len(axes) != 1 or widths[axes[0]][2] or min(widths[axes[0]]) < 0:
        raise NotDeferred("padded along several axes or inside")
    (axis,) = axes
    low, high = (jnp.broadcast_to(value, _with(array.shape, axis, n)) for n in widths[axis][:2])
    return [_blocks(equation, [low, array, high], axis)]


def _blocks(equation: Equation, parts: list[Any], axis: int) -> Blocks:
    shape = equation.shapes[0]
    if not any(isinstance(part, Implicit) and part.bases for part in parts):
        raise NotDeferred("concatenated")
    return Blocks(tuple(part for part in parts if part.shape[axis]), axis, shape.shape, shape.dtype)


def _with(shape: tuple[int, ...], axis: int | None, size: int) -> tuple[int, ...]:
    """A shape with another size of an axis."""
    return shape if axis is None else (*shape[:axis], size, *shape[axis + 1 :])


def _by_part(
    session: Session,
    number: int,
    equation: Equation,
    values: list[Any],
    along: int | None = None,
    axis: int | None = None,
) -> list[Any]:
    """Outputs of an equation for each block among its operands.

    Args:
        along: the axis of the other operand that is divided likewise, if any.
        axis: of the output that is.
    """
    (place,) = (place for place, value in enumerate(values) if isinstance(value, Blocks))
    blocks, shape, found = values[place], equation.shapes[0], []
    sizes = [part.shape[blocks.axis] for part in blocks.parts]
    pieces = [list(values)] * len(sizes)
    if along is not None:
        other = session.formed(values[1 - place], "multiplied by a drawn array")
        cut = jnp.split(other, list(itertools.accumulate(sizes))[:-1], along)
        pieces = [[piece, piece] for piece in cut]
    for part, size, piece in zip(blocks.parts, sizes, pieces, strict=True):
        own = jax.ShapeDtypeStruct(_with(shape.shape, axis, size), shape.dtype)
        operands = [*piece[:place], part, *piece[place + 1 :]]
        found += evaluated(session, number, dataclasses.replace(equation, shapes=(own,)), operands)
    return found


def _product(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """A sum over parts along a contracted axis; results side by side along another."""
    place = int(isinstance(values[1], Blocks))
    blocks, other = values[place], values[1 - place]
    contracted, batch = equation.params["dimension_numbers"]
    own, others = ((*batch[side], *contracted[side]) for side in (place, 1 - place))
    along = others[own.index(blocks.axis)] if blocks.axis in own else None
    formed = lambda axis: [
        session.formed(found, "concatenated")
        for found in _by_part(session, number, equation, values, along, axis)
    ]
    if blocks.axis in contracted[place]:
        return [sum(formed(None))]
    free = [axis for axis in range(len(blocks.shape)) if axis not in own]
    order = [*batch[place], *[None] * place * (jnp.ndim(other) - len(others)), *free]
    at = order.index(blocks.axis)
    return [jnp.concatenate(formed(at), at)]


def _scaled(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """By a number, or by an array over some axes."""
    (axis,) = (value.axis for value in values if isinstance(value, Blocks))
    (other,) = (value for value in values if not isinstance(value, Blocks))
    is_along = jnp.ndim(other) > 0 and jnp.shape(other)[axis] != 1
    found = _by_part(session, number, equation, values, axis if is_along else None, axis)
    return [_blocks(equation, found, axis)]


def _changed(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Entry by entry, or with axes in another order."""
    (blocks,) = values
    order = list(equation.params.get("permutation", range(len(blocks.shape))))
    axis = order.index(blocks.axis)
    return [_blocks(equation, _by_part(session, number, equation, values, None, axis), axis)]


RULES = {
    "concatenate": _concatenated,
    "pad": _padded,
    "dot_general concatenated": _product,
    "mul concatenated": _scaled,
    "div concatenated": _scaled,
    **{
        f"{name} concatenated": _changed
        for name in ("transpose", "neg", "copy", "copy_p", "name", "convert_element_type")
    },
}
