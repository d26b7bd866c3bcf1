"""Rows of a table by their numbers: embeddings."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import settled
from deepinit.deferral.rules.products import contract
from deepinit.deferral.session import Session, root
from deepinit.deferral.values import NotDeferred, ein_of


def _gather(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Rows of numbers act as rows with a single 1."""
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
    )
    if not simple:
        raise NotDeferred("gathered along several axes")
    for base in table.bases:
        law = session.decisions.drawn[root(base)].law
        if law != "normal":  # a row that is looked up has the law of single entries
            raise NotDeferred(f"looked up row by row, and of {law.replace('_', ' ')} law")
    (axis,) = axes
    length = table.shape[axis]
    found = ids[..., 0]
    inside = (found >= 0) & (found < length)
    mode = str(params["mode"]).lower()
    if "clip" in mode:
        found = jnp.clip(found, 0, length - 1)
    rows = jax.nn.one_hot(found, length, dtype=table.dtype)
    last = rows.ndim - 1
    terms = []
    for term in table.terms:
        term = contract(session, ein_of(rows), term, ((last,), (axis,)), ((), ()), (rows, table))
        terms.append(_ordered(term, last, tuple(numbers.offset_dims)))
    output = settled(terms, equation)
    if "fill" in mode:
        output = session.formed(output, "looked up at places that may not exist")
        fill = params["fill_value"]
        fill = jnp.nan if fill is None else fill
        shape = [1] * output.ndim
        for place, size in zip(_places(output.ndim, numbers.offset_dims), found.shape, strict=True):
            shape[place] = size
        output = jnp.where(inside.reshape(shape), output, fill)
    return [output]


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


RULES = {"gather": _gather}
