"""Randomized nodes of Gaussian averages, whose spread over replicas is their error.

Up to 4 dimensions: trapezoidal rules at random offsets, exponentially accurate for functions
analytic in a strip. Beyond: scrambled Sobol points, error about N^-0.85 for softmax attention (8
tokens, scores of variance 1: 1.5e-4 a replica).
"""

import functools
import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np

REPLICAS = 8
_LOG2_POINTS = 11
_GRIDS = {1: (0.25, 8.0), 2: (0.4, 7.5), 3: (0.5, 7.0), 4: (0.7, 6.5)}  # spacing, radius


def random_nodes(dimension: int, replica: Any) -> tuple[Any, Any]:
    """Nodes [N, dimension] and weights [N] of E f(z), z ~ N(0, I); f smooth.

    `replica`: 0 to `REPLICAS` - 1.
    """
    if dimension not in _GRIDS:
        return random_points(dimension, replica)
    spacing = _GRIDS[dimension][0]
    offsets = np.random.default_rng(0).uniform(-0.5, 0.5, (REPLICAS, dimension))
    nodes = _grid(dimension) + spacing * jnp.asarray(offsets)[replica]
    weights = jnp.exp(-0.5 * jnp.sum(nodes**2, axis=1))
    return nodes, weights / jnp.sum(weights)


def random_points(dimension: int, replica: Any) -> tuple[Any, Any]:
    """The same by Sobol points, for f with jumps."""
    nodes = jnp.asarray(_sobol(dimension))[replica]
    return nodes, jnp.full(len(nodes), 1.0 / len(nodes))


@functools.lru_cache(maxsize=8)
def _grid(dimension: int) -> np.ndarray:
    """Lattice points in a ball."""
    spacing, radius = _GRIDS[dimension]
    side = spacing * np.arange(-int(radius / spacing) - 1, int(radius / spacing) + 2)
    points = np.array(list(itertools.product(side, repeat=dimension)))
    return points[np.sum(points**2, axis=1) <= radius**2]


@functools.lru_cache(maxsize=8)
def _sobol(dimension: int) -> np.ndarray:
    """[REPLICAS, N, dimension] normal points, pseudorandom beyond Sobol's dimensions."""
    from scipy.special import ndtri
    from scipy.stats import qmc

    within = min(dimension, qmc.Sobol.MAXDIM)
    sequences = [qmc.Sobol(within, rng=seed).random_base2(_LOG2_POINTS) for seed in range(REPLICAS)]
    points = ndtri(np.clip(sequences, 1e-12, 1.0 - 1e-12))
    rest = (*points.shape[:2], dimension - within)
    return np.concatenate([points, np.random.default_rng(0).normal(size=rest)], axis=2)
