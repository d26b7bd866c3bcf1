"""Convolutions: patches of an image times a matrix.

A kernel [*window, in, out] is a matrix [(in, *window), out]. What comes back through a convolution
is one with the reversed kernel: cotangents times the transposed matrix, [out, (in, *window)], of
which every entry is added where its patch was.
"""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.action import act
from deepinit.deferral.einsums import ein_of, evaluate
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import LAZY, settled
from deepinit.deferral.rules.products import contract
from deepinit.deferral.session import Session
from deepinit.deferral.values import Flipped, Gauss, Implicit, NotDeferred

Axes = tuple[int, ...]


def _convolved(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    params = equation.params
    image, kernel = session.formed(values[0], "convolved as an image"), values[1]
    is_formed = not isinstance(kernel, Implicit | Flipped)
    if params["feature_group_count"] != 1 or params["batch_group_count"] != 1:
        if is_formed:
            return bind(equation, [image, kernel])
        raise NotDeferred("convolved in groups")
    if is_formed:
        return _of_arrays(session, equation, image, kernel)
    kernel, flipped = (kernel.value, kernel.axes) if isinstance(kernel, Flipped) else (kernel, ())
    total: Any = jnp.zeros((), kernel.dtype)
    for term in kernel.terms:
        if isinstance(term, Gauss):
            total = total + _acted(session, params, image, term, kernel.shape, flipped)
        else:
            array = jnp.broadcast_to(evaluate(term), kernel.shape).astype(kernel.dtype)
            total = total + bind(equation, [image, jnp.flip(array, flipped)])[0]
    return [total.astype(equation.shapes[0].dtype)]


def _acted(
    session: Session, params: Any, image: Any, gauss: Gauss, shape: tuple[int, ...], flipped: Axes
) -> Any:
    """A convolution with a kernel of a shape, reversed along axes.

    Of the two ways to see the kernel as a matrix, [(in, *window), out] and [in, (*window, out)],
    the one in which it was used before.
    """
    numbers = params["dimension_numbers"]
    outer, inner, *window = numbers.rhs_spec
    sizes = tuple(shape[axis] for axis in window)
    at = tuple(place for place, axis in enumerate(window) if axis in flipped)
    image = jnp.transpose(image, numbers.lhs_spec)  # [images, channels, *positions]
    roles = session.bases[gauss.base].roles
    matrix = tuple(sorted(gauss.axes[inner]))
    by_channels = matrix in (roles.rows, roles.columns) if roles else bool(flipped and matrix)
    if by_channels:
        channels_last = jnp.moveaxis(image, 1, -1)
        found = act(session, gauss, (inner,), (), channels_last)
        free = [axis for axis in range(len(shape)) if axis != inner]
        start = image.ndim - 1
        order = [start + free.index(axis) for axis in (outer, *window)]
        found = jnp.transpose(found, (0, *order, *range(1, start)))
        found = _spread(params, found, sizes, at)
    else:
        patches = _patches(params, image, sizes, at)
        found = act(session, gauss, (inner, *window), (), patches)
        found = jnp.moveaxis(found, -1, 1)
    return jnp.transpose(found, _inverse(numbers.out_spec))


def _of_arrays(session: Session, equation: Equation, image: Any, kernel: Any) -> list[Any]:
    """Of arrays: the gradient of a kernel is not formed where its factors are smaller."""
    numbers, shape = equation.params["dimension_numbers"], equation.shapes[0]
    outer, inner, *window = numbers.rhs_spec
    sizes = tuple(kernel.shape[axis] for axis in window)
    num_patches = shape.size // kernel.shape[outer]
    num_numbers = num_patches * math.prod(sizes) * kernel.shape[inner] + kernel.size
    if shape.size <= LAZY * num_numbers or not jnp.issubdtype(shape.dtype, jnp.floating):
        return bind(equation, [image, kernel])
    patches = _patches(equation.params, jnp.transpose(image, numbers.lhs_spec), sizes, ())
    own = tuple(range(patches.ndim - len(sizes) - 1, patches.ndim))
    pairs = own, (inner, *window)
    arrays = patches, kernel
    found = contract(session, ein_of(patches), ein_of(kernel), pairs, ((), ()), arrays)
    images, *positions, features = found.axes
    axes = [(images, features, *positions)[place] for place in _inverse(numbers.out_spec)]
    return [settled([dataclasses.replace(found, axes=tuple(axes))], equation)]


def _patches(params: Any, image: Any, sizes: tuple[int, ...], flipped: Axes) -> Any:
    """Windows [images, *positions, channels, *sizes] of an image [images, channels, *positions]."""
    count = math.prod(sizes)
    alone = image.reshape(-1, 1, *image.shape[2:])
    found = _convolution(params, alone, _unit(sizes, flipped).reshape(count, 1, *sizes))
    places = found.shape[2:]
    found = found.reshape(*image.shape[:2], *sizes, *places)
    order = (0, *range(found.ndim - len(places), found.ndim), *range(1, 2 + len(sizes)))
    return jnp.transpose(found, order)


def _spread(params: Any, entries: Any, sizes: tuple[int, ...], flipped: Axes) -> Any:
    """Sums [images, channels, *places] of entries [images, channels, *sizes, *positions]."""
    count, num = math.prod(sizes), len(sizes)
    alone = entries.reshape(-1, count, *entries.shape[2 + num :])
    found = _convolution(params, alone, _unit(sizes, flipped).reshape(1, count, *sizes))
    return found.reshape(*entries.shape[:2], *found.shape[2:])


def _unit(sizes: tuple[int, ...], flipped: Axes) -> Any:
    """Kernels [window, *sizes] of a 1 each."""
    count = math.prod(sizes)
    return jnp.flip(jnp.eye(count).reshape(count, *sizes), [place + 1 for place in flipped])


def _convolution(params: Any, image: Any, kernel: Any) -> Any:
    return jax.lax.conv_general_dilated(
        image,
        kernel.astype(image.dtype),
        params["window_strides"],
        params["padding"],
        params["lhs_dilation"],
        params["rhs_dilation"],
        precision="highest",
    )


def _inverse(spec: Any) -> list[int]:
    """The order that undoes an order of axes."""
    return sorted(range(len(spec)), key=lambda axis: spec[axis])


def _reversed(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    return [Flipped(values[0], tuple(equation.params["dimensions"]))]


RULES = {
    "conv_general_dilated": _convolved,
    "conv_general_dilated reversed": _convolved,
    "rev": _reversed,
}
