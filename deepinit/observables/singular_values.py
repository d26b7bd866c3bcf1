"""Singular values of the Jacobian by JAX operations: LAPACK on several CPU devices can deadlock."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.typing import Array, Float, Real

_SWEEPS = 12  # quadratic convergence: 6 to 8 sweeps reach float64 for some 100 rows


def log_singular_values(
    rows: Real[Array, "m n"], log_scales: Real[Array, "m"]
) -> Float[jax.Array, "singular_values"]:
    """Logarithms of singular values of exp(log_scales) * rows, largest first; -inf for 0.

    One-sided Jacobi (Hestenes 1958).
    """
    top = jnp.max(log_scales)
    scaled = jnp.exp(log_scales - top)[:, None] * rows
    matrix = scaled.T if rows.shape[0] > rows.shape[1] else scaled
    if matrix.shape[0] > 1:
        rounds = jnp.asarray(np.tile(_rounds(matrix.shape[0]), (_SWEEPS, 1, 1)))
        matrix, _ = jax.lax.scan(_rotate, matrix, rounds)
    norms = jnp.sqrt(jnp.sum(matrix * matrix, axis=1))
    return top + jnp.log(-jnp.sort(-norms))


def _rotate(matrix: Any, pairs: Any) -> tuple[Any, None]:
    """Rotations that make disjoint pairs of rows orthogonal."""
    first, second = matrix[pairs[0]], matrix[pairs[1]]
    dot = lambda a, b: jnp.sum(a * b, axis=1)
    alpha, beta, gamma = dot(first, first), dot(second, second), dot(first, second)
    zeta = (beta - alpha) / (2 * jnp.where(gamma == 0, 1, gamma))
    tangent = jnp.where(zeta < 0, -1, 1) / (jnp.abs(zeta) + jnp.sqrt(1 + zeta * zeta))
    tangent = jnp.where(gamma == 0, 0, tangent)
    cosine = 1 / jnp.sqrt(1 + tangent * tangent)
    cosine, sine = cosine[:, None], (cosine * tangent)[:, None]
    matrix = matrix.at[pairs[0]].set(cosine * first - sine * second)
    return matrix.at[pairs[1]].set(sine * first + cosine * second), None


def _rounds(size: int) -> np.ndarray:
    """[rounds, 2, pairs]: every pair once, disjoint in a round; one row rests if size is odd."""
    players = list(range(size + size % 2))
    rounds = []
    for _ in range(len(players) - 1):
        pairs = [(players[i], players[-1 - i]) for i in range(len(players) // 2)]
        rounds.append([pair for pair in pairs if size not in pair or size % 2 == 0])
        players = [players[0], players[-1], *players[1:-1]]
    return np.array([list(itertools.zip_longest(*pairs)) for pairs in rounds])
