"""Symmetric matrices as vectors in JAX, and second-order Taylor polynomials."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.numerics.entries import count_rows, entries


def matrix_of(vector: Any) -> Any:
    """[p] -> [k, k]."""
    return vector[entries(count_rows(vector.shape[0])).at]


def vector_of(matrix: Any) -> Any:
    """[k, k] -> [p]."""
    where = entries(matrix.shape[0])
    return matrix[where.rows, where.columns]


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
