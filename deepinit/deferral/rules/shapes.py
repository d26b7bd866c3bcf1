"""Axes in another order, grouped, sliced, repeated and summed over."""

import dataclasses
import math
from typing import Any

import jax.numpy as jnp

from deepinit.deferral.action import act
from deepinit.deferral.einsums import broadcast, ein_of, regrouped, reshaped, summed
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Equation
from deepinit.deferral.rules.elementwise import LAZY, settled, terms_of
from deepinit.deferral.session import Session, new_base
from deepinit.deferral.values import Ein, Gauss, Implicit, NotDeferred


def _each(change: Any) -> Any:
    """A rule that changes every term."""

    def rule(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
        return [settled([change(session, equation, term) for term in values[0].terms], equation)]

    return rule


def _transposed(session: Session, equation: Equation, term: Any) -> Any:
    order = equation.params["permutation"]
    return dataclasses.replace(term, axes=tuple(term.axes[axis] for axis in order))


def _reshaped(session: Session, equation: Equation, term: Any) -> Any:
    shape = equation.shapes[0].shape
    if isinstance(term, Ein):
        return reshaped(term, shape)
    base = session.bases[term.base]
    found = regrouped([(atom, base.sizes[atom]) for group in term.axes for atom in group], shape)
    if found.split is not None:
        session.split_atom(term.base, *found.split)
    if found.groups is None:
        raise NotDeferred(f"reshaped to {shape}, across its axes")
    return dataclasses.replace(term, axes=found.groups)


def _broadcast(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    shape = equation.shapes[0].shape
    if not isinstance(values[0], Implicit):
        if math.prod(shape) <= LAZY * max(1, math.prod(jnp.shape(values[0]))):
            return bind(equation, values)
        if not jnp.issubdtype(equation.shapes[0].dtype, jnp.floating):
            return bind(equation, values)
    places = equation.params["broadcast_dimensions"]
    found = []
    for term in terms_of(values[0]):
        axes: list[tuple[int, ...]] = [()] * len(shape)
        for place, group in zip(places, term.axes, strict=True):
            axes[place] = group
        found.append(broadcast(dataclasses.replace(term, axes=tuple(axes)), shape))
    return [Implicit(tuple(found), shape, equation.shapes[0].dtype)]


def _summed(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    axes, shape = tuple(equation.params["axes"]), values[0].shape
    found = []
    for term in values[0].terms:
        if isinstance(term, Gauss):
            kept = [axis for axis, group in enumerate(term.axes) if group or axis not in axes]
            term = dataclasses.replace(term, axes=tuple(term.axes[axis] for axis in kept))
            over = tuple(place for place, axis in enumerate(kept) if axis in axes)
            ones = jnp.ones([shape[kept[place]] for place in over], values[0].dtype)
            found.append(ein_of(act(session, term, over, (), ones)) if over else term)
        else:
            found.append(summed(term, axes))
    return [settled(found, equation)]


def _sliced(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    params = equation.params
    steps = params["strides"] or (1,) * values[0].ndim
    if any(step != 1 for step in steps):
        raise NotDeferred("sliced with strides")
    spans = tuple(zip(params["start_indices"], params["limit_indices"], strict=True))
    return [_part(session, values[0], spans, equation.shapes[0].shape)]


def _divided(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    axis, start, found = equation.params["axis"], 0, []
    for size, shape in zip(equation.params["sizes"], equation.shapes, strict=True):
        spans = [(0, whole) for whole in values[0].shape]
        spans[axis] = (start, start + size)
        found.append(_part(session, values[0], tuple(spans), shape.shape))
        start += size
    return found


def _unstacked(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Slices along an axis, without it (JAX 0.12)."""
    axis, found = equation.params["axis"], []
    for place, shape in enumerate(equation.shapes):
        spans = [(0, whole) for whole in values[0].shape]
        spans[axis] = (place, place + 1)
        sizes = (*shape.shape[:axis], 1, *shape.shape[axis:])
        part = _part(session, values[0], tuple(spans), sizes)
        terms = [_dropped(term, {axis}) for term in part.terms]
        found.append(Implicit(tuple(terms), shape.shape, values[0].dtype))
    return found


def _part(session: Session, value: Any, spans: Any, shape: tuple[int, ...]) -> Any:
    """A block of an implicit array."""
    terms = list(value.terms)
    for axis, (start, stop) in enumerate(spans):
        if (start, stop) == (0, value.shape[axis]):
            continue
        terms = [
            _part_of_gauss(session, term, axis, start, stop)
            if isinstance(term, Gauss)
            else _part_of_ein(term, axis, start, stop)
            for term in terms
        ]
    return Implicit(tuple(terms), shape, value.dtype)


def _part_of_ein(ein: Ein, axis: int, start: int, stop: int) -> Ein:
    if len(ein.axes[axis]) != 1:
        raise NotDeferred("sliced across its axes")
    (label,) = ein.axes[axis]
    factors = [
        jnp.take(factor, jnp.arange(start, stop), axis=labels.index(label))
        if label in labels
        else factor
        for factor, labels in zip(ein.factors, ein.labels, strict=True)
    ]
    sizes = tuple((own, stop - start if own == label else size) for own, size in ein.sizes)
    part = dataclasses.replace(ein, factors=tuple(factors), sizes=sizes)
    return part if stop - start > 1 else _without(part, axis, label)


def _without(ein: Ein, axis: int, label: int) -> Ein:
    """Without a label of size 1."""
    factors, labels = [], []
    for factor, own in zip(ein.factors, ein.labels, strict=True):
        factors.append(factor.squeeze(own.index(label)) if label in own else factor)
        labels.append(tuple(name for name in own if name != label))
    axes = tuple(() if place == axis else group for place, group in enumerate(ein.axes))
    sizes = tuple((own, size) for own, size in ein.sizes if own != label)
    return Ein(tuple(factors), tuple(labels), axes, sizes, ein.scale)


def _part_of_gauss(session: Session, gauss: Gauss, axis: int, start: int, stop: int) -> Gauss:
    """An independent array: parts do not overlap, and the whole is not used."""
    base = session.bases[gauss.base]
    if len(gauss.axes[axis]) != 1:
        raise NotDeferred("sliced across its axes")
    (atom,) = gauss.axes[axis]
    name = ("part", gauss.base, atom, start, stop)
    if name not in session.bases:
        _divide(session, gauss.base, name)
    if len(session.bases[name].axes) != len(base.sizes):
        raise NotDeferred("used in parts inside and outside of a loop")
    swap = dict(zip(base.sizes, session.bases[name].axes, strict=True))
    regroup = lambda own: tuple(new for old in own for new in swap[old])
    diagonals = []
    for array, own in zip(gauss.diagonals, gauss.of_diagonals, strict=True):
        if atom in own:
            array = jnp.take(array, jnp.arange(start, stop), axis=own.index(atom))
        sizes = session.bases[name].shape(regroup(own))
        diagonals.append(array.reshape(sizes))
    return Gauss(
        name,
        tuple(regroup(group) for group in gauss.axes),
        gauss.scale,
        tuple(diagonals),
        tuple(regroup(own) for own in gauss.of_diagonals),
    )


def _divide(session: Session, whole: Any, name: Any) -> None:
    """Register a part of an array that is not used as a whole; parts do not overlap."""
    _, _, atom, start, stop = name
    base = session.bases[whole]
    if base.roles is not None:
        raise NotDeferred("used as a whole and in parts")
    for other, first, last in base.parts:
        if other != atom or max(first, start) < min(last, stop):
            raise NotDeferred("used in parts that overlap")
    session.bases[whole] = dataclasses.replace(base, parts=(*base.parts, (atom, start, stop)))
    shape = tuple(stop - start if own == atom else size for own, size in base.sizes.items())
    keys = base.keys.reshape(-1)[0] if base.keys.ndim else base.keys
    stream = (*base.stream, atom, start)
    part = new_base(session, name, shape, keys, stream, base.dtype)
    share = base.share * (stop - start) / base.sizes[atom]
    session.bases[name] = dataclasses.replace(part, share=share)


def _squeezed(session: Session, equation: Equation, term: Any) -> Any:
    return _dropped(term, {axis % len(term.axes) for axis in equation.params["dimensions"]})


def _dropped(term: Any, dropped: set[int]) -> Any:
    """Without axes of size 1."""
    kept = (group for axis, group in enumerate(term.axes) if axis not in dropped)
    return dataclasses.replace(term, axes=tuple(kept))


RULES = {
    "transpose": _each(_transposed),
    "reshape": _each(_reshaped),
    "squeeze": _each(_squeezed),
    "broadcast_in_dim": _broadcast,
    "reduce_sum": _summed,
    "slice": _sliced,
    "split": _divided,
    "unstack": _unstacked,
}
