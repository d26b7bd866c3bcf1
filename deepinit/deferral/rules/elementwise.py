"""Sums, products by numbers and by vectors along axes, changes of type."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from deepinit.deferral.einsums import broadcast, ein_of, evaluate, num_numbers, product, times
from deepinit.deferral.program import Equation
from deepinit.deferral.session import Session
from deepinit.deferral.values import Ein, Gauss, Implicit, NotDeferred

LAZY = 4  # an array with so many times fewer numbers in its factors is not formed


def settled(terms: list[Any], equation: Equation) -> Any:
    """The sum of terms; formed if that takes not more memory than its factors."""
    shape, terms = equation.shapes[0], _collected(terms)
    eins = [term for term in terms if isinstance(term, Ein)]
    is_small = math.prod(shape.shape) <= LAZY * sum(map(num_numbers, eins))
    if len(eins) < len(terms) or not is_small:
        return Implicit(tuple(terms), shape.shape, shape.dtype)
    total: Any = sum(map(evaluate, eins))
    return jnp.broadcast_to(total, shape.shape).astype(shape.dtype)


def _collected(terms: list[Any]) -> list[Any]:
    """Views of one drawn array as one term."""
    found: dict[Any, Any] = {}
    for term in terms:
        key: Any = id(term)
        if isinstance(term, Gauss) and not term.diagonals:
            key = (term.base, term.axes)
        old = found.get(key)
        found[key] = term if old is None else dataclasses.replace(old, scale=old.scale + term.scale)
    return list(found.values())


def terms_of(value: Any) -> list[Any]:
    """Terms of an implicit array, or the array as one."""
    return list(value.terms) if isinstance(value, Implicit) else [ein_of(value)]


def _passed(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Every operand on its own, in the type of its output."""
    return [
        dataclasses.replace(value, dtype=shape.dtype) if isinstance(value, Implicit) else value
        for value, shape in zip(values, equation.shapes, strict=True)
    ]


def _converted(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    dtype = equation.shapes[0].dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        raise NotDeferred(f"converted to {dtype}")
    for base in values[0].bases:
        if jnp.finfo(dtype).bits < jnp.finfo(values[0].dtype).bits:
            session.note(base, f"the rounding of its entries to {dtype} is left out")
    return [dataclasses.replace(values[0], dtype=dtype)]


def _negative(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    return [settled([times(term, -1.0) for term in values[0].terms], equation)]


def _sum(sign: float) -> Any:
    def rule(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
        shape = equation.shapes[0].shape
        first, second = ([broadcast(term, shape) for term in terms_of(value)] for value in values)
        every = (*first, *second)
        has_gauss = any(isinstance(term, Gauss) for term in every)
        if has_gauss and any(_is_full(term, shape) for term in every):
            raise NotDeferred("added to an array")
        return [settled([*first, *(times(term, sign) for term in second)], equation)]

    return rule


def _is_full(term: Any, shape: tuple[int, ...]) -> bool:
    """An array as its own factor, which could be formed."""
    return (
        isinstance(term, Ein) and len(term.factors) == 1 and num_numbers(term) == math.prod(shape)
    )


def _product(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    shape = equation.shapes[0].shape
    first, second = ([_padded(term, len(shape)) for term in terms_of(value)] for value in values)
    found: list[Any] = []
    for a in first:
        for b in second:
            if isinstance(a, Ein) and isinstance(b, Ein):
                found.append(_entrywise(a, b, shape))
            elif isinstance(a, Gauss) and isinstance(b, Gauss):
                raise NotDeferred("multiplied entry by entry by a drawn array")
            else:
                found.append(_times_vectors(session, *((a, b) if isinstance(a, Gauss) else (b, a))))
    return [settled(found, equation)]


def _entrywise(a: Ein, b: Ein, shape: tuple[int, ...]) -> Ein:
    pairs = tuple((axis, axis) for axis in range(len(shape)))
    axes = lambda first, second: tuple(x or y for x, y in zip(first, second, strict=True))
    return product(a, b, pairs, axes)


def _padded(term: Any, ndim: int) -> Any:
    """A number with axes of size 1."""
    return term if term.axes else dataclasses.replace(term, axes=((),) * ndim)


def _times_vectors(session: Session, gauss: Gauss, ein: Ein) -> Gauss:
    """By an array over some of its axes."""
    held = {label for labels in ein.labels for label in labels}
    kept = tuple(axis for axis, group in enumerate(ein.axes) if held & set(group))
    if any(group and not own for group, own in zip(ein.axes, gauss.axes, strict=True)):
        raise NotDeferred("repeated along a new axis")
    array = evaluate(dataclasses.replace(ein, axes=tuple(ein.axes[axis] for axis in kept)))
    if not kept:
        return times(gauss, array)
    if len(kept) == sum(bool(group) for group in gauss.axes):
        raise NotDeferred("multiplied entry by entry by an array")
    atoms = tuple(atom for axis in kept for atom in gauss.axes[axis])
    array = array.reshape(session.bases[gauss.base].shape(atoms))
    return dataclasses.replace(
        gauss, diagonals=(*gauss.diagonals, array), of_diagonals=(*gauss.of_diagonals, atoms)
    )


def _quotient(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    if isinstance(values[1], Implicit):
        raise NotDeferred("divided by")
    return _product(session, number, equation, [values[0], 1 / jnp.asarray(values[1])])


def _square(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    return _product(session, number, equation, [values[0], values[0]])


def _power(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    if equation.params["y"] != 2:
        raise NotDeferred("raised to a power")
    return _square(session, number, equation, values)


RULES = {
    "neg": _negative,
    "add": _sum(1.0),
    "add_any": _sum(1.0),
    "sub": _sum(-1.0),
    "mul": _product,
    "div": _quotient,
    "square": _square,
    "integer_pow": _power,
    "convert_element_type": _converted,
    "copy": _passed,
    "copy_p": _passed,
    "name": _passed,
    "optimization_barrier": _passed,
    "sharding_constraint": _passed,
    "reduce_precision": _passed,
    "stop_gradient": _passed,
    "device_put": _passed,
}
