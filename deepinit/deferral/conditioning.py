"""What a matrix of independent N(0, 1), drawn only as far as it acts, does to new rows.

W [n_in, n_out] was seen to map orthonormal rows Q to A = Q W, and P to B = P W^T. Given that, with
N fresh,

    W = Q^T A + B^T P - Q^T (A P^T) P + (I - Q^T Q) N (I - P^T P).

Exact for rows that depend on earlier results: rotation invariance, by induction over uses.
Reference: principle of deferred decisions; the conditioning technique of arXiv:1001.3448.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.orthonormal import orthonormalize_any_rows, orthonormalize_rows
from deepinit.core.paired_normals import paired_normals


class State(NamedTuple):
    """What is known of W, with axes of batches first. Rows of zeros are harmless.

    Attributes:
        rows, images: Q [k, n_in] and Q W [k, n_out].
        columns, preimages: P [l, n_out] and P W^T [l, n_in].
    """

    rows: Any
    images: Any
    columns: Any
    preimages: Any


def unseen(batch: tuple[int, ...], n_in: int, n_out: int, dtype: Any) -> State:
    """Of a matrix that nothing was seen of."""
    empty = lambda size: jnp.zeros((*batch, 0, size), dtype)
    return State(empty(n_in), empty(n_out), empty(n_out), empty(n_in))


class Split(NamedTuple):
    """Rows X = C Q + L Q': coordinates on known and on new directions, and the latter."""

    known: Any
    new: Any
    directions: Any


def split_rows(rows: Any, known: Any) -> Split:
    """Coordinates of rows [k, n] on orthonormal known [r, n] and new directions [k, n].

    Rows that depend on others, up to rounding, have a direction of zeros: normalized rounding
    would be a direction that was seen before. Rows of 1e-30 count: gradients are as small. Rows
    that are not finite have coordinates NaN and a direction of zeros.
    """
    count = known.shape[0]
    directions, lower = orthonormalize_any_rows(rows, known if count else None)
    return Split(lower[:, :count], lower[:, count:], directions)


def split_units(ids: Any, known: Any, size: int, dtype: Any) -> Split:
    """The same of rows with a single 1, at `ids` [k], where the known ones have it, -1 for zeros.

    Equal to `split_rows`, without arithmetic on long rows.
    """
    every = jnp.concatenate([known, ids])
    first = jnp.argmax(ids[:, None] == every[None, :], axis=1)
    is_inside = (ids >= 0) & (ids < size)
    lower = jax.nn.one_hot(first, len(every), dtype=dtype) * is_inside[:, None]
    is_new = (first == len(known) + jnp.arange(len(ids))) & is_inside
    directions = jax.nn.one_hot(jnp.where(is_new, ids, -1), size, dtype=dtype)
    return Split(lower[:, : len(known)], lower[:, len(known) :], directions)


def apply_right(state: State, rows: Any, key: Any, split: Split | None = None) -> tuple[Any, State]:
    """X W [k, n_out] of rows X [k, n_in], and what is known then.

    Args:
        split: of X on `state.rows`, if it is known.
    """
    found = split_rows(rows, state.rows) if split is None else split
    # images of directions of zeros are normals too: nothing has a coordinate on them
    images = paired_normals(key, (rows.shape[0], state.images.shape[1]), rows.dtype)
    result = _product(found.new, images)
    if state.columns.shape[0]:
        seen = _product(found.directions, state.preimages.T) - _product(images, state.columns.T)
        images = images + _product(seen, state.columns)
        # not found.new of the images: where these are not used again, they are not computed
        result = result + _product(_product(found.new, seen), state.columns)
    if found.known.shape[1]:
        result = result + _product(found.known, state.images)
    return result, state._replace(
        rows=_joined(state.rows, found.directions), images=_joined(state.images, images)
    )


def apply_left(state: State, rows: Any, key: Any, split: Split | None = None) -> tuple[Any, State]:
    """X W^T [k, n_in] of rows X [k, n_out], and what is known then."""
    result, mirrored = apply_right(_transposed(state), rows, key, split)
    return result, _transposed(mirrored)


def unvalued(state: State, rows: Any, forward: bool) -> tuple[Any, State]:
    """Arrays of the shapes of `apply_right` or `apply_left`, with axes of batches in front."""
    state = state if forward else _transposed(state)
    result = jnp.zeros((*rows.shape[:-1], state.images.shape[-1]), rows.dtype)
    joined = lambda old, new: jnp.concatenate([old, new], axis=-2)
    state = state._replace(rows=joined(state.rows, rows), images=joined(state.images, result))
    return result, state if forward else _transposed(state)


def rotate_right(state: State, rows: Any, key: Any) -> tuple[Any, State]:
    """X O [k, n] of rows X [k, n], and what is known of O, uniform among orthogonal matrices.

    New directions go to a uniform frame orthogonal to the images so far. A rectangular matrix of
    orthonormal rows or columns is a corner of O: rows with zeros behind act, images are cut.
    """
    known, images = (
        jnp.concatenate(pair)
        for pair in ((state.rows, state.preimages), (state.images, state.columns))
    )
    found = split_rows(rows, known)
    normal = paired_normals(key, rows.shape, rows.dtype)
    frame = _product(jnp.diag(_is_direction(found)), normal)
    new, _ = orthonormalize_rows(frame, images if len(images) else None)
    result = _product(found.new, new) + _product(found.known, images)
    return result, state._replace(
        rows=_joined(state.rows, found.directions), images=_joined(state.images, new)
    )


def rotate_left(state: State, rows: Any, key: Any) -> tuple[Any, State]:
    """X O^T [k, n] of rows X [k, n], and what is known then."""
    result, mirrored = rotate_right(_transposed(state), rows, key)
    return result, _transposed(mirrored)


def _joined(old: Any, new: Any) -> Any:
    """The same array where nothing was known: arrays that see the same rows share directions."""
    return jnp.concatenate([old, new]) if len(old) else new


def _transposed(state: State) -> State:
    return State(state.columns, state.preimages, state.rows, state.images)


def _product(a: Any, b: Any) -> Any:
    return jnp.matmul(a, b, precision="highest")


def _is_direction(found: Split) -> Any:
    return (jnp.diagonal(found.new) > 0).astype(found.new.dtype)


def batched(use: Any, axes: int) -> Any:
    """`use(state, rows, key)` with `axes` axes of batches in front of every argument."""
    for _ in range(axes):
        use = jax.vmap(use)
    return use
