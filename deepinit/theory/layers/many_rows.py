"""Products of three and four different rows, by scrambled Sobol points of fixed seed.

Only variances read them. Relative error about 1e-3 of the largest variance.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.numerics.entries import entries

_LOG2_POINTS = 13


def filled(phi: Callable[[Any], Any], variance: Any, third: Any, fourth: Any) -> tuple[Any, Any]:
    """E F_a F_b F_c [p, k] and E F_a F_b F_c F_d [p, p], where they are NaN."""
    matrix = jax.lax.stop_gradient(matrix_of(variance))
    where = entries(matrix.shape[0])
    spectrum, vectors = jnp.linalg.eigh(matrix)
    factor = vectors * jnp.sqrt(jnp.maximum(spectrum, 0.0))
    values = phi(factor @ jnp.asarray(_nodes(len(matrix))).T)
    pairs = values[where.rows] * values[where.columns]
    count = values.shape[1]
    return (
        jnp.where(jnp.isnan(third), pairs @ values.T / count, third),
        jnp.where(jnp.isnan(fourth), pairs @ pairs.T / count, fourth),
    )


@lru_cache(maxsize=8)
def _nodes(dimension: int) -> np.ndarray:
    from scipy.special import ndtri
    from scipy.stats import qmc

    rng = np.random.default_rng(2026)
    points = qmc.Sobol(dimension, scramble=True, rng=rng).random_base2(_LOG2_POINTS)
    normals = ndtri(np.clip(points, 1e-12, 1.0 - 1e-12))
    return np.concatenate([normals, -normals])
