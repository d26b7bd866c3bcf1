"""Rows of a table by their numbers: embeddings."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.action import act
from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import settled
from deepinit.deferral.rules.products import contract
from deepinit.deferral.session import Session
from deepinit.deferral.values import Gauss, Implicit, NotDeferred, ein_of


def _gather(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    table, ids = values
    params, numbers = equation.params, equation.params["dimension_numbers"]
    axes = tuple(numbers.collapsed_slice_dims)
    whole = tuple(size for axis, size in enumerate(table.shape) if axis not in axes)
    sizes = tuple(size for axis, size in enumerate(params["slice_sizes"]) if axis not in axes)
    simple = (
        len(axes) == 1
        and tuple(numbers.start_index_map) == axes
        and not getattr(numbers, "operand_batching_dims", ())
        and sizes == whole
        and isinstance(table, Implicit)
    )
    if not simple:
        raise NotDeferred("gathered along several axes")
    found, length = ids[..., 0], table.shape[axes[0]]
    is_filled = "fill" in str(params["mode"]).lower()
    rows = found if is_filled else jnp.clip(found, 0, length - 1)
    offset_dims = tuple(numbers.offset_dims)
    terms = [
        _ordered(term, rows.ndim, offset_dims) for term in _looked_up(session, table, axes[0], rows)
    ]
    output = settled(terms, equation)
    if is_filled and not hasattr(output, "terms"):
        fill = params["fill_value"]
        fill = jnp.nan if fill is None else fill
        shape = [1] * output.ndim
        for place, size in zip(_places(output.ndim, offset_dims), found.shape, strict=True):
            shape[place] = size
        inside = (found >= 0) & (found < length)
        output = jnp.where(inside.reshape(shape), output, fill)
    return [output]


def _dynamic_slice(
    session: Session, number: int, equation: Equation, values: list[Any]
) -> list[Any]:
    """One row at a place that is computed."""
    table, *starts = values
    sizes = equation.params["slice_sizes"]
    axes = [axis for axis, size in enumerate(sizes) if size != table.shape[axis]]
    if not isinstance(table, Implicit) or len(axes) != 1 or sizes[axes[0]] != 1:
        raise NotDeferred("sliced at a place that is computed")
    (axis,) = axes
    row = jnp.clip(starts[axis], 0, table.shape[axis] - 1)
    offset_dims = tuple(place for place in range(len(sizes)) if place != axis)
    terms = _looked_up(session, table, axis, jnp.reshape(row, (1,)))
    return [settled([_ordered(term, 1, offset_dims) for term in terms], equation)]


def _looked_up(session: Session, table: Implicit, axis: int, ids: Any) -> list[Any]:
    """Terms [*ids, *rest]: ids act as rows with a single 1."""
    rows = jax.nn.one_hot(ids, table.shape[axis], dtype=table.dtype)
    pairs = (rows.ndim - 1,), (axis,)
    return [
        ein_of(act(session, term, (axis,), (), rows, ids))
        if isinstance(term, Gauss)
        else contract(session, ein_of(rows), term, pairs, ((), ()), (rows, table))
        for term in table.terms
    ]


def _places(ndim: int, offset_dims: Any) -> list[int]:
    return [axis for axis in range(ndim) if axis not in tuple(offset_dims)]


def _ordered(term: Any, num_ids: int, offset_dims: tuple[int, ...]) -> Any:
    """[*ids, *rest] in the order of the gather."""
    ndim = len(term.axes)
    axes: list[Any] = [None] * ndim
    for place, group in zip(_places(ndim, offset_dims), term.axes[:num_ids], strict=True):
        axes[place] = group
    for place, group in zip(offset_dims, term.axes[num_ids:], strict=True):
        axes[place] = group
    return dataclasses.replace(term, axes=tuple(axes))


RULES = {"gather": _gather, "dynamic_slice": _dynamic_slice}
