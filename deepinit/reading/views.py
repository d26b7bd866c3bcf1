"""Parameters as they act: entries in another order, times a number, repeated along axes."""

from typing import NamedTuple

import numpy as np

from deepinit.deferral.program import Constant, Equation, Operand
from deepinit.reading.constants import as_numpy
from deepinit.reading.laws import affine_of, is_float_conversion
from deepinit.reading.scope import PARAMETER, Parameter, Scope

Part = tuple[tuple[int, int], ...]


class View(NamedTuple):
    """factor * entries of a parameter.

    Attributes:
        axes: of the view, whether entries differ along them.
        shape: of the view.
        part: bounds along the parameter's axes; None for all of it.
    """

    parameter: Parameter
    factor: float
    axes: tuple[bool, ...]
    shape: tuple[int, ...]
    part: Part | None = None

    @property
    def own_axes(self) -> tuple[int, ...]:
        """Axes along which entries differ."""
        return tuple(axis for axis, own in enumerate(self.axes) if own)


def view_of(scope: Scope, operand: Operand) -> View | None:
    """The view that an operand is; None for other functions of parameters."""
    if not isinstance(operand, int):
        return None
    parameter = scope.parameters.get(operand)
    if parameter is not None:
        return View(parameter, 1.0, tuple(size > 1 for size in parameter.shape), parameter.shape)
    if scope.marks_of(operand) != {PARAMETER}:
        return None
    equation = scope.makers[operand]
    affine = affine_of(equation)
    if affine is not None:
        inner = view_of(scope, affine[0])
        is_linear = inner is not None and affine[2] == 0.0
        return inner._replace(factor=inner.factor * affine[1]) if inner and is_linear else None
    inner = view_of(scope, equation.inputs[0])
    return None if inner is None else _changed(inner, equation)


def _changed(view: View, equation: Equation) -> View | None:
    name, params = equation.primitive.name, equation.params
    shape = tuple(equation.shapes[0].shape)
    if name in ("copy", "copy_p", "optimization_barrier") or is_float_conversion(equation):
        return view
    if name == "transpose":
        axes = tuple(view.axes[axis] for axis in params["permutation"])
        return view._replace(axes=axes, shape=shape)
    if name == "broadcast_in_dim":
        own = {place: view.axes[axis] for axis, place in enumerate(params["broadcast_dimensions"])}
        axes = tuple(own.get(place, False) for place in range(len(shape)))
        return view._replace(axes=axes, shape=shape)
    if name in ("reshape", "squeeze", "expand_dims"):
        return _reshaped(view, shape)
    if name == "slice" and set(params["strides"] or (1,)) == {1}:
        spans = zip(params["start_indices"], params["limit_indices"], strict=True)
        return _part(view, tuple(spans), shape)
    if name == "gather":
        return _first_rows(view, equation, shape)
    return None


def _reshaped(view: View, shape: tuple[int, ...]) -> View | None:
    """Repeated entries stay apart from others, where axes of size 1 alone come and go."""
    repeats = any(size > 1 and not own for size, own in zip(view.shape, view.axes, strict=True))
    if not repeats:
        return view._replace(axes=tuple(size > 1 for size in shape), shape=shape)
    kept = [own for size, own in zip(view.shape, view.axes, strict=True) if size > 1]
    if [size for size in view.shape if size > 1] != [size for size in shape if size > 1]:
        return None
    axes = tuple(kept.pop(0) if size > 1 else False for size in shape)
    return view._replace(axes=axes, shape=shape)


def _part(view: View, part: Part, shape: tuple[int, ...]) -> View | None:
    """A part of a whole parameter."""
    if view.part is not None or view.shape != view.parameter.shape:
        return None
    return view._replace(axes=tuple(size > 1 for size in shape), shape=shape, part=part)


def _first_rows(view: View, equation: Equation, shape: tuple[int, ...]) -> View | None:
    """Rows 0, 1, ... of a table, in this order."""
    index = equation.inputs[1]
    if not isinstance(index, Constant) or len(view.shape) != 2:
        return None
    rows = as_numpy(index.value).ravel()
    if not (rows == np.arange(len(rows))).all() or not is_lookup(equation, view.shape):
        return None
    return _part(view, ((0, len(rows)), (0, view.shape[1])), shape)


def is_lookup(equation: Equation, table: tuple[int, ...]) -> bool:
    """Whether a gather takes whole rows of a table [rows, columns]."""
    numbers = equation.params["dimension_numbers"]
    last = len(equation.shapes[0].shape) - 1
    return (
        tuple(equation.params["slice_sizes"]) == (1, *table[1:])
        and len(table) == 2
        and numbers.offset_dims == (last,)
        and numbers.collapsed_slice_dims == (0,)
        and numbers.start_index_map == (0,)
        and not numbers.operand_batching_dims
    )


def overlap(first: Part | None, second: Part | None) -> bool:
    """Whether two parts of one parameter have common entries."""
    if first is None or second is None:
        return True
    pairs = zip(first, second, strict=True)
    return all(max(a[0], b[0]) < min(a[1], b[1]) for a, b in pairs)
