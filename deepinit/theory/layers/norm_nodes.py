"""Nodes of averages of f(x), x standard normal, for f of the direction of x, and its length or not.

Up to 3 dimensions: product rules on the sphere, exponentially accurate, times steps of ln |x|.
Beyond: two scrambled Sobol sets of fixed seeds.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_ANGLES = 512
_HEIGHTS, _TURNS = 40, 80
_STEP = 0.2  # of ln |x|
_SMALLEST = -37.0  # log of the mass below the first
_LARGEST = 9.0  # of |x| - sqrt(dimension)


class Nodes(NamedTuple):
    """A rule and one of half its nodes.

    Attributes:
        points: [m, dimension].
        weights, coarse: [m].
        sampled: whether points are Sobol's.
    """

    points: np.ndarray
    weights: np.ndarray
    coarse: np.ndarray
    sampled: bool


@lru_cache(maxsize=16)
def norm_nodes(dimension: int, with_length: bool, log2_points: int | None) -> Nodes:
    """The rule; 2^(log2_points + 1) points, or None for those on the sphere, up to 3 dimensions."""
    if log2_points is not None:
        points = np.concatenate([_normal(dimension, log2_points, seed) for seed in (2026, 2027)])
        weights = np.full(len(points), 1.0 / len(points))
        coarse = np.where(np.arange(len(points)) < len(points) // 2, 2.0 * weights, 0.0)
        return Nodes(points, weights, coarse, True)
    units, weights, coarse = (_line, _circle, _sphere)[dimension - 1]()
    if not with_length:
        return Nodes(units, weights, coarse, False)
    logs = np.arange(_SMALLEST / dimension, math.log(math.sqrt(dimension) + _LARGEST), _STEP)
    exponents = dimension * logs - 0.5 * np.exp(2.0 * logs)
    masses = np.exp(exponents - exponents.max())
    masses /= masses.sum()
    points = (np.exp(logs)[:, None, None] * units).reshape(-1, dimension)
    return Nodes(points, np.outer(masses, weights).ravel(), np.outer(masses, coarse).ravel(), False)


def _line() -> tuple[np.ndarray, ...]:
    weights = np.array([0.5, 0.5])
    return np.array([[1.0], [-1.0]]), weights, weights


def _turn(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Angles, weights, and weights of every second."""
    weights = np.full(count, 1.0 / count)
    even = np.arange(count) % 2 == 0
    return 2.0 * math.pi * np.arange(count) / count, weights, 2.0 * weights * even


def _circle() -> tuple[np.ndarray, ...]:
    angles, weights, coarse = _turn(_ANGLES)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1), weights, coarse


def _sphere() -> tuple[np.ndarray, ...]:
    angles, weights, coarse = _turn(_TURNS)
    heights, mass = np.polynomial.legendre.leggauss(_HEIGHTS)
    radius = np.sqrt(1.0 - heights**2)[:, None]
    flat = radius * np.cos(angles), radius * np.sin(angles), heights[:, None] + 0.0 * angles
    units = np.stack([part.ravel() for part in flat], axis=1)
    return units, np.outer(0.5 * mass, weights).ravel(), np.outer(0.5 * mass, coarse).ravel()


def _normal(dimension: int, log2_points: int, seed: int) -> np.ndarray:
    from scipy.special import ndtri
    from scipy.stats import qmc

    rng = np.random.default_rng(seed)
    points = qmc.Sobol(dimension, scramble=True, rng=rng).random_base2(log2_points)
    return ndtri(np.clip(points, 1e-12, 1.0 - 1e-12))
