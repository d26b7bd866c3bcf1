"""Entries a <= b of symmetric matrices as vectors, and second-order Taylor polynomials."""

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Entries(NamedTuple):
    """The p = k (k + 1) / 2 entries of a symmetric [k, k] matrix, row-major upper triangle.

    Attributes:
        rows, columns: [p], a <= b.
        at: [k, k], index of entry (a, b).
        neighbours: [p, 3], indices of (a, a), (a, b), (b, b).
        diagonal: [k], indices of (a, a).
    """

    rows: np.ndarray
    columns: np.ndarray
    at: np.ndarray
    neighbours: np.ndarray
    diagonal: np.ndarray


@lru_cache(maxsize=64)
def entries(num_rows: int) -> Entries:
    """The entries of a [num_rows, num_rows] matrix."""
    a, b = np.triu_indices(num_rows)
    at = np.empty((num_rows, num_rows), dtype=np.int64)
    at[a, b] = at[b, a] = np.arange(len(a))
    return Entries(a, b, at, np.stack([at[a, a], at[a, b], at[b, b]], axis=1), np.diag(at).copy())


def matrix_of(vector: Any) -> Any:
    """[p] -> [k, k]."""
    return vector[entries(count_rows(vector.shape[0])).at]


def vector_of(matrix: Any) -> Any:
    """[k, k] -> [p]."""
    where = entries(matrix.shape[0])
    return matrix[where.rows, where.columns]


def count_rows(size: int) -> int:
    """k of p = k (k + 1) / 2."""
    return int(((8 * size + 1) ** 0.5 - 1) / 2 + 0.5)


def polynomial(at: Any, value: Any, gradient: Any, hessian: Any) -> Any:
    """value + gradient d + d hessian d / 2 with d = at - (at, held fixed): [n].

    Its derivatives at `at` up to the second are the given ones, whatever they were computed by.

    Args:
        at: [n, q].
        value, gradient, hessian: [n], [n, q], [n, q, q].
    """
    step = at - jax.lax.stop_gradient(at)
    curved = jnp.einsum("nij,ni,nj->n", hessian, step, step)
    return value + jnp.sum(gradient * step, axis=-1) + 0.5 * curved


def wick(matrix: Any) -> Any:
    """[p, p] covariance of z_a z_b, z ~ N(0, matrix [k, k])."""
    where = entries(matrix.shape[0])
    a, b = where.rows, where.columns
    near = lambda left, right: matrix[np.ix_(left, right)]
    return near(a, a) * near(b, b) + near(a, b) * near(b, a)
