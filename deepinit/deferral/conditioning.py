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

from deepinit.core.generator import standard_normals
from deepinit.core.linear_algebra import orthonormalize_rows


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
    would be a direction that was seen before. Rows are scaled first: squares of gradients of 1e-30
    underflow. Rows that are not finite are left out.
    """
    rows = jnp.where(_is_finite(rows), rows, 0)
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    largest = jnp.where(largest == 0, 1, largest)
    count = known.shape[0]
    directions, lower = orthonormalize_rows(rows / largest, known if count else None)
    lower = lower * largest
    return Split(lower[:, :count], lower[:, count:], directions)


def apply_right(state: State, rows: Any, key: Any, split: Split | None = None) -> tuple[Any, State]:
    """X W [k, n_out] of rows X [k, n_in], and what is known then.

    Args:
        split: of X on `state.rows`, if it is known.
    """
    found = split_rows(rows, state.rows) if split is None else split
    normal = _normals(key, (rows.shape[0], state.images.shape[1]), rows.dtype)
    # a product with a diagonal matrix: fused with an entrywise one, XLA draws five times slower
    images = _product(jnp.diag(_is_direction(found.directions)), normal)
    if state.columns.shape[0]:
        seen = _product(found.directions, state.preimages.T) - _product(images, state.columns.T)
        images = images + _product(seen, state.columns)
    result = _product(found.new, images)
    if found.known.shape[1]:
        result = result + _product(found.known, state.images)
    result = jnp.where(_is_finite(rows), result, jnp.nan)
    joined = lambda old, new: jnp.concatenate([old, new])
    return result, state._replace(
        rows=joined(state.rows, found.directions), images=joined(state.images, images)
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


def _transposed(state: State) -> State:
    return State(state.columns, state.preimages, state.rows, state.images)


def _product(a: Any, b: Any) -> Any:
    return jnp.matmul(a, b, precision="highest")


def _is_finite(rows: Any) -> Any:
    return jnp.all(jnp.isfinite(rows), axis=1, keepdims=True)


def _is_direction(directions: Any) -> Any:
    return jnp.any(directions != 0, axis=1).astype(directions.dtype)


def _normals(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    return standard_normals(key, shape, dtype)


def batched(use: Any, axes: int) -> Any:
    """`use(state, rows, key)` with `axes` axes of batches in front of every argument."""
    for _ in range(axes):
        use = jax.vmap(use)
    return use
