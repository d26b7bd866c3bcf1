"""Drawn arrays act on arrays."""

import dataclasses
import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core import generator
from deepinit.deferral.conditioning import (
    Split,
    State,
    apply_left,
    apply_right,
    batched,
    rotate_left,
    rotate_right,
    split_rows,
    split_units,
    unseen,
    unvalued,
)
from deepinit.deferral.session import Base, Roles, Session, Use
from deepinit.deferral.values import Atoms, Gauss, NotDeferred

_OWN_STREAM = 0x5EED0DEF  # users fold small integers into the same keys
_BATCH_STREAM = 0x0BA7C4ED


def act(
    session: Session,
    gauss: Gauss,
    contracted: tuple[int, ...],
    batch: tuple[int, ...],
    dense: Any,
    ids: Any = None,
) -> Any:
    """Contract axes of a Gauss with an array.

    Args:
        contracted, batch: axes of the Gauss.
        dense: [*batch, *free, *contracted].
        ids: [*free] if rows have a single 1 there, or zeros for an id that is outside.

    Returns:
        [*batch, *free of the array, *free of the Gauss].

    Raises:
        NotDeferred: axes that do not fit to earlier uses, or diagonals on both sides.
    """
    base = session.bases[gauss.base]
    free = tuple(axis for axis in range(len(gauss.axes)) if axis not in (*contracted, *batch))
    inner, shared, outer = (
        tuple(atom for axis in axes for atom in gauss.axes[axis])
        for axes in (contracted, batch, free)
    )
    if base.parts:
        raise NotDeferred("used as a whole and in parts")
    roles = _roles_of(base, inner, shared, outer)
    base = with_roles(base, roles)
    before, after = tuple(sorted(inner)), tuple(sorted(outer))
    forward = before == roles.rows
    free_shape = dense.shape[len(batch) : dense.ndim - len(contracted)]
    count = math.prod(free_shape)
    rows = _ordered(
        dense.reshape(*base.shape(shared), count, *base.shape(inner)),
        (*shared, None, *inner),
        (*roles.batch, None, *before),
    )
    on_rows, on_images = _sides(gauss, {*roles.batch, *before}, {*roles.batch, *after})
    for array, atoms in on_rows:
        rows = rows * _spread(array, atoms, (*roles.batch, None, *before))
    sizes = [[base.size(gauss.axes[axis]) for axis in axes] for axes in (batch, free)]
    shape = (*sizes[0], *free_shape, *sizes[1])
    if count == 0:
        return jnp.zeros(shape, base.dtype)
    stacked = rows.reshape(*base.shape(roles.batch), count, base.size(before)).astype(base.dtype)
    split = None
    if not (on_rows or roles.batch or base.is_orthogonal or session.planning):
        order = tuple(inner.index(atom) for atom in before), base.shape(inner)
        split, base = _split(session, base, forward, stacked, (dense, order), ids)
    images, state = _use(session, base, forward, stacked, split)
    images = images[..., : base.size(after)]
    session.bases[gauss.base] = dataclasses.replace(base, state=state, uses=base.uses + 1)
    session.decisions.uses[gauss.base, base.uses] = Use(
        count * base.repeats, forward, base.size(roles.rows), base.size(roles.columns), base.share
    )
    images = images.reshape(*base.shape(roles.batch), count, *base.shape(after))
    for array, atoms in on_images:
        images = images * _spread(array, atoms, (*roles.batch, None, *after))
    images = _ordered(images, (*roles.batch, None, *after), (*shared, None, *outer))
    return images.reshape(shape) * gauss.scale


def _roles_of(base: Base, inner: Atoms, shared: Atoms, outer: Atoms) -> Roles:
    """Of a use; the first fixes them."""
    if base.roles is None:
        if not inner:
            raise NotDeferred("contracted along none of its axes")
        return Roles(shared, tuple(sorted(inner)), tuple(sorted(outer)))
    if set(shared) != set(base.roles.batch):
        raise NotDeferred("used with other axes of batches than before")
    if tuple(sorted(inner)) not in (base.roles.rows, base.roles.columns):
        raise NotDeferred("contracted along a third set of its axes")
    return base.roles


def with_roles(base: Base, roles: Roles) -> Base:
    """A base with these roles, and nothing known of it if it had none."""
    if base.roles is not None:
        return base
    sizes = base.size(roles.rows), base.size(roles.columns)
    if base.is_orthogonal:
        sizes = max(sizes), max(sizes)
    state = unseen(base.shape(roles.batch), *sizes, base.dtype)
    keys = _batch_keys(base, roles.batch)
    return dataclasses.replace(base, roles=roles, keys=keys, key_atoms=roles.batch, state=state)


def orthogonal(base: Base) -> Base:
    """Orthogonal matrices in the last two axes: parts of them are not independent."""
    *batch, rows, columns = base.axes
    roles = Roles(tuple(itertools.chain(*batch)), tuple(sorted(rows)), tuple(sorted(columns)))
    return with_roles(dataclasses.replace(base, is_orthogonal=True), roles)


def _batch_keys(base: Base, batch: Atoms) -> Any:
    """Keys [*batch], all different."""
    keys, own = base.keys, base.key_atoms
    if not set(own) <= set(batch):
        keys, own = keys.reshape(-1)[0], ()
    kept = [atom for atom in batch if atom in own]
    if len(kept) > 1:
        keys = jnp.transpose(keys, [own.index(atom) for atom in kept])
    for place, atom in enumerate(batch):
        if atom not in own:
            keys = with_axis(keys, place, base.sizes[atom])
    return keys


def with_axis(keys: Any, place: int, size: int) -> Any:
    """Keys with one more axis of different keys."""

    def several(key: Any) -> Any:
        stream = jax.random.fold_in(key, _BATCH_STREAM)
        return jax.vmap(lambda index: jax.random.fold_in(stream, index))(jnp.arange(size))

    return jnp.moveaxis(batched(several, keys.ndim)(keys), -1, place)


def _sides(gauss: Gauss, before: set[int], after: set[int]) -> tuple[list[Any], list[Any]]:
    """Diagonals of the rows and of the images, with their atoms."""
    on_rows, on_images = [], []
    for array, atoms in zip(gauss.diagonals, gauss.of_diagonals, strict=True):
        if set(atoms) <= before:
            on_rows.append((array, atoms))
        elif set(atoms) <= after:
            on_images.append((array, atoms))
        else:
            raise NotDeferred("multiplied entry by entry by an array")
    return on_rows, on_images


def _ordered(array: Any, axes: tuple[Any, ...], wanted: tuple[Any, ...]) -> Any:
    """Axes by name in another order."""
    return array if axes == wanted else jnp.transpose(array, [axes.index(name) for name in wanted])


def _spread(array: Any, atoms: Atoms, layout: tuple[Any, ...]) -> Any:
    """Over atoms, to multiply an array with the axes `layout`."""
    present = tuple(name for name in layout if name in atoms)
    array = _ordered(array, atoms, present)
    sizes = dict(zip(present, array.shape, strict=True))
    return array.reshape([sizes.get(name, 1) for name in layout])


def _split(
    session: Session, base: Base, forward: bool, rows: Any, source: Any, ids: Any
) -> tuple[Split | None, Base]:
    """Coordinates of rows where they take less than arithmetic: single ones, rows seen before.

    Args:
        source: an array, and an order of its axes in which they are the rows.
    """
    assert base.state is not None
    known = base.state.rows if forward else base.state.columns
    own = base.ids.get(forward, jnp.zeros(0, jnp.int32))
    if ids is not None and len(own) == len(known):
        ids = ids.reshape(-1).astype(jnp.int32)
        split = split_units(ids, own, known.shape[1], base.dtype)
        places = jnp.where(jnp.diagonal(split.new) != 0, ids, -1)
        every = {**base.ids, forward: jnp.concatenate([own, places])}
        return split, dataclasses.replace(base, ids=every)
    if len(known):
        return None, base
    dense, order = source
    compute = lambda: split_rows(rows, known)
    return session.shared(("split", order, rows.shape, rows.dtype), dense, compute), base


def _use(
    session: Session, base: Base, forward: bool, rows: Any, split: Split | None
) -> tuple[Any, State]:
    """Images of rows [*batch, k, n], and the state then."""
    state = base.state
    assert state is not None
    apply: Any = apply_right if forward else apply_left
    if base.is_orthogonal:
        apply = rotate_right if forward else rotate_left
        missing = state.rows.shape[-1] - rows.shape[-1]
        rows = jnp.pad(rows, [(0, 0)] * (rows.ndim - 1) + [(0, missing)])

    if session.planning:
        return unvalued(state, rows, forward)

    stream = lambda key: generator.folded(key, (_OWN_STREAM, *base.stream, base.uses))

    if split is not None:
        return apply(state, rows, stream(base.keys), split)
    use = lambda state, rows, key: apply(state, rows, stream(key))
    return batched(use, rows.ndim - 2)(state, rows, base.keys)
