"""Rows of a table by their numbers: embeddings, and their gradients."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.action import act
from deepinit.deferral.draws import EXACT
from deepinit.deferral.einsums import ein_of, product
from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import settled, terms_of
from deepinit.deferral.rules.products import contract
from deepinit.deferral.session import Session, root
from deepinit.deferral.values import Gauss, NotDeferred

Axes = tuple[int, ...]


def _gather(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Rows of numbers act as rows with a single 1."""
    table, starts = values
    params, numbers = equation.params, equation.params["dimension_numbers"]
    mode = str(params["mode"]).lower()
    axis = _axis(table.shape, tuple(params["slice_sizes"]), tuple(numbers.start_index_map), mode)
    _refuse_batches(numbers.operand_batching_dims)
    found = starts[..., tuple(numbers.start_index_map).index(axis)]
    inside = (found >= 0) & (found < table.shape[axis])
    if "fill" not in mode:
        found = jnp.clip(found, 0, table.shape[axis] - 1)
    windows = tuple(own for own in range(table.ndim) if own not in numbers.collapsed_slice_dims)
    ndim, offsets = equation.shapes[0].ndim, tuple(numbers.offset_dims)
    terms = [
        _placed(term, found.ndim, axis, windows, offsets, ndim)
        for term in _rows(session, table, axis, found)
    ]
    output = settled(terms, equation)
    if "fill" in mode:
        output = session.formed(output, "looked up at places that may not exist")
        fill = jnp.nan if params["fill_value"] is None else params["fill_value"]
        shape = [1] * ndim
        for place, size in zip(_others(ndim, offsets), found.shape, strict=True):
            shape[place] = size
        output = jnp.where(inside.reshape(shape), output, fill)
    return [output]


def _sliced(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Consecutive rows from a number on."""
    table, *starts = values
    sizes = tuple(equation.params["slice_sizes"])
    axis = _axis(table.shape, (*sizes,), tuple(range(table.ndim)), "clip", rows=None)
    first = jnp.clip(starts[axis], 0, table.shape[axis] - sizes[axis])
    windows = _others(table.ndim, (axis,))
    terms = [
        _placed(term, 1, axis, windows, windows, table.ndim)
        for term in _rows(session, table, axis, first + jnp.arange(sizes[axis]))
    ]
    return [settled(terms, equation)]


def _added(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """The gradient of rows that are looked up: rows with a single 1, times updates."""
    table, starts, updates = values
    params, numbers = equation.params, equation.params["dimension_numbers"]
    _refuse_batches(numbers.operand_batching_dims)
    mode, index_axes = str(params["mode"]).lower(), tuple(numbers.scatter_dims_to_operand_dims)
    windows = tuple(own for own in range(table.ndim) if own not in numbers.inserted_window_dims)
    of_updates = tuple(numbers.update_window_dims)
    sizes = [1] * table.ndim
    for own, place in zip(windows, of_updates, strict=True):
        sizes[own] = updates.shape[place]
    axis = _axis(table.shape, tuple(sizes), index_axes, mode)
    found = starts[..., index_axes.index(axis)]
    if "fill" not in mode:
        found = jnp.clip(found, 0, table.shape[axis] - 1)
    rows = ein_of(jax.nn.one_hot(found, table.shape[axis], dtype=table.dtype))
    ids = _others(updates.ndim, of_updates)
    pairs = tuple((place, own) for place, own in enumerate(ids))
    by_axis = dict(zip(windows, of_updates, strict=True))
    axes = lambda first, second: tuple(
        first[-1] if own == axis else second[by_axis[own]] for own in range(table.ndim)
    )
    terms = [product(rows, term, pairs, axes) for term in terms_of(updates)]
    return [settled([*table.terms, *terms], equation)]


def _axis(shape: Axes, sizes: Axes, index_axes: Axes, mode: str, rows: int | None = 1) -> int:
    """The only axis along which a slice is smaller than the table."""
    smaller = [axis for axis in range(len(shape)) if sizes[axis] != shape[axis]]
    if len(smaller) != 1 or not set(smaller) <= set(index_axes):
        raise NotDeferred("gathered along several axes")
    if "fill" in mode and len(index_axes) > 1:
        raise NotDeferred("gathered at places that may not exist")
    if rows is not None and sizes[smaller[0]] != rows:
        raise NotDeferred("gathered in blocks")
    return smaller[0]


def _refuse_batches(axes: Any) -> None:
    if axes:
        raise NotDeferred("gathered in batches")


def _rows(session: Session, table: Any, axis: int, numbers: Any) -> list[Any]:
    """Terms [*numbers, *other axes of the table]."""
    for base in table.bases:
        law = session.decisions.drawn[root(base)].law
        if law not in EXACT:  # a row that is looked up has the law of single entries
            raise NotDeferred(f"looked up row by row, and of {law.replace('_', ' ')} law")
    rows = jax.nn.one_hot(numbers, table.shape[axis], dtype=table.dtype)
    contracted = ((rows.ndim - 1,), (axis,))
    return [
        ein_of(act(session, term, (axis,), (), rows, numbers))
        if isinstance(term, Gauss)
        else contract(session, ein_of(rows), term, contracted, ((), ()), (rows, table))
        for term in table.terms
    ]


def _placed(term: Any, num_ids: int, axis: int, windows: Axes, offsets: Axes, ndim: int) -> Any:
    """[*ids, *other axes] with axes of the table at offsets; a window of one row has size 1."""
    rest = iter(term.axes[num_ids:])
    axes: list[Any] = [None] * ndim
    for own, place in zip(windows, offsets, strict=True):
        axes[place] = () if own == axis else next(rest)
    for place, group in zip(_others(ndim, offsets), term.axes[:num_ids], strict=True):
        axes[place] = group
    return dataclasses.replace(term, axes=tuple(axes))


def _others(ndim: int, axes: Axes) -> Axes:
    return tuple(axis for axis in range(ndim) if axis not in axes)


RULES = {"gather": _gather, "dynamic_slice": _sliced, "scatter-add": _added}
