"""`dot_general` of arrays of which at least one is not formed, or whose product is not."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from deepinit.deferral.action import act
from deepinit.deferral.einsums import ein_of, evaluate, new_labels, product
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import LAZY, settled, terms_of
from deepinit.deferral.session import Session
from deepinit.deferral.values import Ein, Gauss, Implicit, NotDeferred

Axes = tuple[int, ...]


def _dot_general(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    pairs: Any = equation.params["dimension_numbers"]
    contracted, batch = ((tuple(first), tuple(second)) for first, second in pairs)
    formed = [value for value in values if not isinstance(value, Implicit)]
    shape = equation.shapes[0]
    if len(formed) == 2 and not (
        jnp.issubdtype(shape.dtype, jnp.floating)
        and math.prod(shape.shape) > LAZY * sum(math.prod(value.shape) for value in formed)
    ):
        return bind(equation, values)
    wide = lambda array: jnp.asarray(array, jnp.promote_types(array.dtype, shape.dtype))
    values = [value if isinstance(value, Implicit) else wide(value) for value in values]
    found = [
        contract(session, a, b, contracted, batch, (values[0], values[1]))
        for a in terms_of(values[0])
        for b in terms_of(values[1])
    ]
    return [settled(found, equation)]


def contract(
    session: Session,
    a: Any,
    b: Any,
    contracted: tuple[Axes, Axes],
    batch: tuple[Axes, Axes],
    arrays: tuple[Any, Any],
) -> Any:
    """The product of two terms, axes [*batch, *free of a, *free of b].

    Args:
        arrays: the operands; those that are formed stand for their terms.
    """
    if isinstance(a, Gauss) and isinstance(b, Gauss):
        raise NotDeferred("multiplied by a drawn array")
    if isinstance(a, Ein) and isinstance(b, Ein):
        pairs = (*zip(*contracted, strict=True), *zip(*batch, strict=True))
        free = tuple(
            tuple(axis for axis in range(len(term.axes)) if axis not in (*inner, *shared))
            for term, inner, shared in zip((a, b), contracted, batch, strict=True)
        )
        axes = lambda first, second: (
            *(first[axis] or second[twin] for axis, twin in zip(*batch, strict=True)),
            *(first[axis] for axis in free[0]),
            *(second[axis] for axis in free[1]),
        )
        return product(a, b, pairs, axes)
    if isinstance(a, Gauss):
        swapped = contract(session, b, a, contracted[::-1], batch[::-1], arrays[::-1])
        return _moved(swapped, len(batch[0]), len(b.axes) - len(contracted[1]) - len(batch[1]))
    if isinstance(arrays[0], Implicit):
        lazy = _by_factor(session, a, b, contracted, batch)
        if lazy is not None:
            return lazy
        if _size(a) > session.bases[b.base].size(tuple(session.bases[b.base].sizes)):
            raise NotDeferred("multiplied by a larger array that is not formed")
        array = evaluate(a)
    else:
        array = arrays[0]
    order = [*batch[0]]
    order += [axis for axis in range(array.ndim) if axis not in (*contracted[0], *batch[0])]
    order += [*contracted[0]]
    dense = array
    if order != list(range(array.ndim)):
        dense = session.shared(("order", tuple(order)), array, lambda: jnp.transpose(array, order))
    return ein_of(act(session, b, contracted[1], batch[1], dense))


def _size(ein: Ein) -> int:
    sizes = dict(ein.sizes)
    return math.prod(sizes[label] for group in ein.axes for label in group)


def _moved(ein: Ein, num_batch: int, num_first: int) -> Ein:
    """[*batch, *first, *second] as [*batch, *second, *first]."""
    shared, rest = ein.axes[:num_batch], ein.axes[num_batch:]
    return dataclasses.replace(ein, axes=(*shared, *rest[num_first:], *rest[:num_first]))


def _by_factor(
    session: Session,
    ein: Ein,
    gauss: Gauss,
    contracted: tuple[Axes, Axes],
    batch: tuple[Axes, Axes],
) -> Ein | None:
    """A Gauss acts on the one factor that has the contracted labels; None if there is none."""
    inner = [label for axis in contracted[0] for label in ein.axes[axis]]
    holders = [place for place, own in enumerate(ein.labels) if set(own) & set(inner)]
    if batch[0] or len(holders) != 1 or not set(inner) <= set(ein.labels[holders[0]]):
        return None
    (place,) = holders
    sizes, own = dict(ein.sizes), ein.labels[place]
    rest = tuple(label for label in own if label not in inner)
    dense = jnp.transpose(ein.factors[place], [own.index(label) for label in (*rest, *inner)])
    shape = [math.prod(sizes[label] for label in ein.axes[axis]) for axis in contracted[0]]
    dense = dense.reshape(*(sizes[label] for label in rest), *shape)
    image = act(session, gauss, contracted[1], (), dense)
    grown = image.shape[len(rest) :]
    names = [
        (label,) if size != 1 else ()
        for label, size in zip(new_labels(len(grown)), grown, strict=True)
    ]
    new = tuple(label for group in names for label in group)
    image = image.reshape([sizes[label] for label in rest] + [size for size in grown if size != 1])
    free = tuple(group for axis, group in enumerate(ein.axes) if axis not in contracted[0])
    kept = {label: size for label, size in ein.sizes if label not in inner}
    kept |= dict(zip(new, [size for size in grown if size != 1], strict=True))
    swap = lambda old, value: tuple(value if at == place else x for at, x in enumerate(old))
    return Ein(
        swap(ein.factors, image),
        swap(ein.labels, (*rest, *new)),
        (*free, *names),
        tuple(kept.items()),
        ein.scale,
    )


RULES = {"dot_general": _dot_general}
