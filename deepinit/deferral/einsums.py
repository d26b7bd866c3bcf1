"""Arithmetic of `Ein`: products, sums, reshapes, values."""

import dataclasses
import itertools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from deepinit.deferral.values import Ein, Gauss, Labels, NotDeferred

_labels = itertools.count()


def new_labels(number: int) -> Labels:
    """Labels that nothing else has."""
    return tuple(itertools.islice(_labels, number))


def ein_of(array: Any) -> Ein:
    """An array as its only factor, a number as the scale; axes of size 1 have no label."""
    array = jnp.asarray(array)
    if array.size == 1:
        return Ein((), (), ((),) * array.ndim, (), array.reshape(()))
    labels = new_labels(array.ndim)
    kept = tuple(label for label, size in zip(labels, array.shape, strict=True) if size != 1)
    axes = tuple((label,) if label in kept else () for label in labels)
    sizes = tuple((label, size) for label, size in zip(labels, array.shape) if size != 1)  # noqa: B905
    return Ein((array.reshape([size for _, size in sizes]),), (kept,), axes, sizes, 1.0)


def times(term: Any, factor: Any) -> Any:
    """A term multiplied by a number."""
    return dataclasses.replace(term, scale=term.scale * factor)


def broadcast(term: Any, shape: tuple[int, ...]) -> Any:
    """A term with axes of size 1, or a number, repeated to a shape.

    Raises:
        NotDeferred: a drawn array.
    """
    axes = term.axes or ((),) * len(shape)
    grown = [axis for axis, group in enumerate(axes) if not group and shape[axis] != 1]
    if not grown:
        return dataclasses.replace(term, axes=axes)
    if isinstance(term, Gauss):
        raise NotDeferred("repeated along a new axis")
    labels = dict(zip(grown, new_labels(len(grown)), strict=True))
    sizes = tuple((label, shape[axis]) for axis, label in labels.items())
    axes = tuple((labels[axis],) if axis in labels else group for axis, group in enumerate(axes))
    return dataclasses.replace(term, axes=axes, sizes=(*term.sizes, *sizes))


def num_numbers(ein: Ein) -> int:
    """Numbers that the factors hold."""
    return max(1, sum(math.prod(factor.shape) for factor in ein.factors))


def evaluate(ein: Ein) -> Any:
    """The array."""
    sizes = dict(ein.sizes)
    present = {label for labels in ein.labels for label in labels}
    order = [label for group in ein.axes for label in group]
    own = [label for label in order if label in present]
    shape = [math.prod(sizes[label] for label in group) for group in ein.axes]
    if len(ein.factors) == 1 and ein.labels[0] == tuple(own):
        found = ein.factors[0]
    else:
        number = {label: place for place, label in enumerate(sizes)}
        operands: list[Any] = []
        for factor, labels in zip(ein.factors, ein.labels, strict=True):
            operands += [factor, [number[label] for label in labels]]
        found = (
            jnp.einsum(
                *operands, [number[label] for label in own], optimize="optimal", precision="highest"
            )
            if operands
            else jnp.ones(())
        )
    found = jnp.expand_dims(found, [place for place, label in enumerate(order) if label not in own])
    found = jnp.broadcast_to(found, [sizes[label] for label in order]).reshape(shape)
    return found if isinstance(ein.scale, float) and ein.scale == 1.0 else found * ein.scale


def split_label(ein: Ein, label: int, sizes: tuple[int, ...]) -> Ein:
    """The same with an axis of several labels in place of one."""
    new = new_labels(len(sizes))
    swap = lambda labels: tuple(x for old in labels for x in (new if old == label else (old,)))
    before = dict(ein.sizes)
    factors = []
    for factor, labels in zip(ein.factors, ein.labels, strict=True):
        shape = [size for old in labels for size in (sizes if old == label else (before[old],))]
        factors.append(factor.reshape(shape) if label in labels else factor)
    del before[label]
    before |= dict(zip(new, sizes, strict=True))
    return Ein(
        tuple(factors),
        tuple(swap(labels) for labels in ein.labels),
        tuple(swap(group) for group in ein.axes),
        tuple(before.items()),
        ein.scale,
    )


def renamed(ein: Ein, names: dict[int, int]) -> Ein:
    """The same with other labels; those not named get new ones."""
    own = {
        label: names.get(label, new)
        for (label, _), new in zip(ein.sizes, new_labels(len(ein.sizes)), strict=True)
    }
    swap = lambda labels: tuple(own[label] for label in labels)
    return Ein(
        ein.factors,
        tuple(swap(labels) for labels in ein.labels),
        tuple(swap(group) for group in ein.axes),
        tuple((own[label], size) for label, size in ein.sizes),
        ein.scale,
    )


def product(a: Ein, b: Ein, pairs: tuple[tuple[int, int], ...], axes: Any) -> Ein:
    """Product with axes of both made one.

    Args:
        pairs: axes (of a, of b) of one size that become one, or one of which has size 1.
        axes: `(axes of a, axes of b) -> axes of the product`, from groups of labels.

    Labels that are in no axis of the product are summed over.
    """
    for mine, other in pairs:
        a, b = _aligned(a, b, mine, other)
    names: dict[int, int] = {}
    for mine, other in pairs:
        if a.axes[mine] and b.axes[other]:
            names |= dict(zip(b.axes[other], a.axes[mine], strict=True))
    b = renamed(b, names)
    sizes = dict(a.sizes) | dict(b.sizes)
    ein = Ein(
        a.factors + b.factors,
        a.labels + b.labels,
        axes(a.axes, b.axes),
        tuple(sizes.items()),
        a.scale * b.scale,
    )
    return _without_idle_labels(ein)


def summed(ein: Ein, axes: tuple[int, ...]) -> Ein:
    """Summed over axes."""
    kept = tuple(group for place, group in enumerate(ein.axes) if place not in axes)
    return _without_idle_labels(dataclasses.replace(ein, axes=kept))


def _without_idle_labels(ein: Ein) -> Ein:
    """Sums over labels that no factor has are factors of the scale."""
    used = {label for labels in (*ein.labels, *ein.axes) for label in labels}
    idle = math.prod(size for label, size in ein.sizes if label not in used)
    sizes = tuple((label, size) for label, size in ein.sizes if label in used)
    scale = ein.scale if idle == 1 else ein.scale * float(idle)
    return dataclasses.replace(ein, sizes=sizes, scale=scale)


def _aligned(a: Ein, b: Ein, mine: int, other: int) -> tuple[Ein, Ein]:
    """Both with the same sizes of labels in one axis each."""
    while True:
        first, second = a.axes[mine], b.axes[other]
        sizes_a, sizes_b = dict(a.sizes), dict(b.sizes)
        if not first or not second:
            return a, b
        for place, (label, twin) in enumerate(zip(first, second, strict=False)):
            if sizes_a[label] == sizes_b[twin]:
                continue
            size, rest = sizes_a[label], sizes_b[twin]
            if size % rest == 0:
                a = split_label(a, label, (rest, size // rest))
            elif rest % size == 0:
                b = split_label(b, twin, (size, rest // size))
            else:
                common = math.gcd(size, rest)
                if common == 1 or place != 0:
                    return _one_label(a, mine), _one_label(b, other)
                a = split_label(a, label, (common, size // common))
            break
        else:
            return a, b


def _one_label(ein: Ein, axis: int) -> Ein:
    """Evaluated, so that the axis has one label."""
    return ein_of(evaluate(ein)) if len(ein.axes[axis]) > 1 else ein


def reshaped(ein: Ein, shape: tuple[int, ...]) -> Ein:
    """In another shape of as many numbers."""
    sizes = dict(ein.sizes)
    found = regrouped([(label, sizes[label]) for group in ein.axes for label in group], shape)
    if found.groups is not None:
        return dataclasses.replace(ein, axes=found.groups)
    if found.split is None:
        return ein_of(evaluate(ein).reshape(shape))
    return reshaped(split_label(ein, *found.split), shape)


class Regrouping(NamedTuple):
    """Parts in groups; or a part to split first, and into which sizes; or neither."""

    groups: tuple[tuple[int, ...], ...] | None
    split: tuple[int, tuple[int, int]] | None = None


def regrouped(parts: list[tuple[int, int]], shape: tuple[int, ...]) -> Regrouping:
    """Parts (name, size > 1) in order as groups of the sizes `shape`."""
    groups: list[tuple[int, ...]] = []
    rest = list(parts)
    for wanted in shape:
        group: list[int] = []
        while wanted > 1:
            name, size = rest[0]
            if wanted % size == 0:
                group.append(name)
                wanted //= size
                rest.pop(0)
            elif size % wanted == 0:
                return Regrouping(None, (name, (wanted, size // wanted)))
            else:
                return Regrouping(None)
        groups.append(tuple(group))
    return Regrouping(tuple(groups))
