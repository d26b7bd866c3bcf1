"""Implicit arrays and drawn arrays, a slice at a time along one axis."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax.numpy as jnp

from deepinit.deferral.action import with_axis
from deepinit.deferral.conditioning import State
from deepinit.deferral.einsums import new_labels
from deepinit.deferral.session import Base, Roles
from deepinit.deferral.values import Atoms, Ein, Gauss, Implicit, NotDeferred


def sliced(value: Implicit, bases: dict[Any, Base]) -> tuple[Implicit, dict[Any, int]]:
    """The value without its first axis, which every leaf has instead; atoms of its arrays.

    Raises:
        NotDeferred: an axis of several labels or atoms, or one that was contracted.
    """
    length = value.shape[0]
    atoms: dict[Any, int] = {}
    terms: list[Any] = []
    for term in value.terms:
        if len(term.axes[0]) != 1:
            raise NotDeferred("sliced in a loop across its axes")
        (name,) = term.axes[0]
        if isinstance(term, Gauss):
            base = bases[term.base]
            if base.parts or (base.roles is not None and name not in base.roles.batch):
                raise NotDeferred("sliced in a loop after it was used otherwise")
            atoms[term.base] = name
            diagonals, of_diagonals = _along(term.diagonals, term.of_diagonals, name, length)
            scale = math.prod(
                (own for own, rest in zip(diagonals, of_diagonals, strict=True) if not rest),
                start=jnp.broadcast_to(term.scale, (length,)),
            )
            kept = [place for place, rest in enumerate(of_diagonals) if rest]
            diagonals = tuple(diagonals[place] for place in kept)
            of_diagonals = tuple(of_diagonals[place] for place in kept)
            terms.append(Gauss(term.base, term.axes[1:], scale, diagonals, of_diagonals))
        else:
            factors, labels = _along(term.factors, term.labels, name, length)
            sizes = tuple((label, size) for label, size in term.sizes if label != name)
            scale = jnp.broadcast_to(term.scale, (length,))
            terms.append(Ein(factors, labels, term.axes[1:], sizes, scale))
    return Implicit(tuple(terms), value.shape[1:], value.dtype), atoms


def _along(
    arrays: tuple[Any, ...], names: tuple[Atoms, ...], name: int, length: int
) -> tuple[tuple[Any, ...], tuple[Atoms, ...]]:
    """Arrays with the named axis in front, repeated if they have none."""
    found = []
    for array, own in zip(arrays, names, strict=True):
        if name in own:
            found.append(jnp.moveaxis(array, own.index(name), 0))
        else:
            found.append(jnp.broadcast_to(array, (length, *array.shape)))
    return tuple(found), tuple(tuple(x for x in own if x != name) for own in names)


def stacked(value: Implicit, length: int, atoms: dict[Any, int]) -> Implicit:
    """The value with one more axis in front, which every leaf has.

    Args:
        atoms: of this axis in drawn arrays.
    """
    terms: list[Any] = []
    for term in value.terms:
        if isinstance(term, Gauss):
            atom = atoms[term.base]
            terms.append(
                Gauss(
                    term.base,
                    ((atom,), *term.axes),
                    1.0,
                    (term.scale, *term.diagonals),
                    ((atom,), *((atom, *own) for own in term.of_diagonals)),
                )
            )
        else:
            (label,) = new_labels(1)
            terms.append(
                Ein(
                    (term.scale, *term.factors),
                    ((label,), *((label, *own) for own in term.labels)),
                    ((label,), *term.axes),
                    ((label, length), *term.sizes),
                    1.0,
                )
            )
    return Implicit(tuple(terms), (length, *value.shape), value.dtype)


class Known(NamedTuple):
    """Arrays of a drawn array: keys, and what its uses have found."""

    keys: Any
    state: State | None


def known_slices(base: Base, atom: int) -> Known:
    """With the axis of an atom in front."""
    if atom in base.key_atoms:
        keys = jnp.moveaxis(base.keys, base.key_atoms.index(atom), 0)
    else:
        keys = with_axis(base.keys, 0, base.sizes[atom])
    if base.roles is None or base.state is None:
        return Known(keys, None)
    place = base.roles.batch.index(atom)
    return Known(keys, State(*(jnp.moveaxis(leaf, place, 0) for leaf in base.state)))


def slice_of(base: Base, atom: int, known: Known) -> Base:
    """One slice."""
    rest = lambda atoms: tuple(own for own in atoms if own != atom)
    roles = base.roles
    return dataclasses.replace(
        base,
        keys=known.keys,
        key_atoms=rest(base.key_atoms),
        sizes={own: size for own, size in base.sizes.items() if own != atom},
        roles=None if roles is None else roles._replace(batch=rest(roles.batch)),
        state=known.state,
        ids={},
    )


def found_in(base: Base, before: Base | None) -> Known:
    """What uses of a slice have found beyond what was known before."""
    if base.state is None or before is None or before.state is None:
        return Known(base.keys, base.state)
    rest = lambda new, old: new[..., old.shape[-2] :, :] if old.shape[-2] else new
    return Known(base.keys, State(*map(rest, base.state, before.state)))


def stack_of(inner: Base, atom: int, length: int, found: Known, before: Base | None) -> Base:
    """Slices as one array.

    Args:
        inner: one slice, for all that is the same in every slice.
        found: of all slices, with the axis of `atom` in front.
        before: the array before the loop; None if it was drawn inside.
    """
    keys, of_keys, state, roles = found.keys, (atom, *inner.key_atoms), found.state, inner.roles
    batch = () if roles is None else (atom, *roles.batch)
    if before is not None and before.roles is not None and before.state is not None:
        batch = before.roles.batch
        assert state is not None
        place = batch.index(atom)
        pairs = zip(before.state, (jnp.moveaxis(leaf, 0, place) for leaf in state), strict=True)
        state = State(*(jnp.concatenate(pair, axis=-2) for pair in pairs))
    if set(of_keys) == set(batch):
        keys = jnp.transpose(keys, [of_keys.index(own) for own in batch])
        of_keys = batch
    return dataclasses.replace(
        inner,
        keys=keys,
        key_atoms=of_keys,
        sizes={atom: length, **inner.sizes} if before is None else before.sizes,
        roles=None if roles is None else Roles(batch, roles.rows, roles.columns),
        state=state,
        ids={},
    )
