"""Density on a grid of values <= 0, moved by Gaussian steps clipped at 0.

Masses are corrected by the quadratic that makes mass, mean and variance exact. Steps below 0.6
cells go to three points: the variance is too large by at most a quarter of the squared cell.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.theory.numerics.monotone_cubic import monotone_cubic

_STEP = 0.5  # cell width in units of the shortest step's standard deviation
_MOST_POINTS = 3000
_LEAST_POINTS = 600
_CUT = 8.5  # half width of a step in standard deviations: the rest is 2e-17
_SHORT = 0.6  # in cells: shorter steps go to three points


def spaced(table: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Grid over [table[0], table[-1]], ends included, with cells proportional to `scale`.

    `scale`: standard deviation of a step at the increasing `table`, floored at 1/50 of its maximum.
    600 to 3000 points, cells of half the scale if that many suffice.
    """
    rate = 1.0 / np.maximum(scale, max(0.02 * scale.max(), 1e-8))
    lengths = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * np.diff(table))])
    count = int(np.clip(math.ceil(lengths[-1] / _STEP) + 1, _LEAST_POINTS, _MOST_POINTS))
    grid = monotone_cubic(lengths, table, np.linspace(0.0, lengths[-1], count))
    grid[[0, -1]] = table[[0, -1]]
    return grid


def cells(grid: np.ndarray) -> np.ndarray:
    """Trapezoidal weights."""
    halves = 0.5 * np.diff(grid)
    return np.concatenate([halves, [0.0]]) + np.concatenate([[0.0], halves])


def gaussian_points(
    mean: float, variance: float, num_points: int = 1701
) -> tuple[np.ndarray, np.ndarray]:
    """Points and weights of min(mean + sqrt(variance) N(0, 1), 0); error 1e-5 deviations."""
    z = np.linspace(-_CUT, _CUT, num_points)
    weights = np.exp(-0.5 * z * z)
    return np.minimum(mean + math.sqrt(variance) * z, 0.0), weights / weights.sum()


def kernel(grid: np.ndarray, means: np.ndarray, variances: np.ndarray) -> Any:
    """Sparse [points, sources]: masses of a step; columns sum to 1.

    Grid increasing, <= 0; the point 0, if any, receives the mass above. Moments before clipping.
    """
    from scipy.sparse import csc_array

    sigma = np.sqrt(variances)
    center, spread = _clipped_moments(means, sigma) if grid[-1] == 0.0 else (means, variances)
    center = np.clip(center, grid[0], grid[-1])
    nearest = np.clip(np.searchsorted(grid, center), 1, len(grid) - 2)
    nearest -= (center < 0.5 * (grid[nearest] + grid[nearest - 1])) & (nearest > 1)
    steps = _Steps(means, sigma, center, spread, nearest)
    short = sigma < _SHORT * 0.5 * (grid[nearest + 1] - grid[nearest - 1])

    rows, columns, masses = [], [], []
    for build, selected in ((_three_points, short), (_gaussian_masses, ~short)):
        sources = np.flatnonzero(selected)
        if len(sources) == 0:
            continue
        index, mass = build(grid, _Steps(*(part[sources] for part in steps)))
        nonzero = mass != 0.0
        rows.append(index[nonzero])
        columns.append(np.broadcast_to(sources[:, None], index.shape)[nonzero])
        masses.append((mass / mass.sum(axis=1, keepdims=True))[nonzero])
    entries = np.concatenate(masses), (np.concatenate(rows), np.concatenate(columns))
    return csc_array(entries, shape=(len(grid), len(means)))


def _clipped_moments(means: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of min(mean + sigma N(0, 1), 0)."""
    from scipy.special import ndtr

    k = -means / np.maximum(sigma, 1e-300)
    k = np.clip(k, -40.0, 40.0)
    density, above = np.exp(-0.5 * k * k) / math.sqrt(2.0 * math.pi), ndtr(-k)
    excess = density - k * above  # E (z - k)^+
    square = above * (1.0 + k * k) - k * density  # E ((z - k)^+)^2
    # min(z, k) = z - (z - k)^+, and E z (z - k)^+ = P(z > k)
    relative_variance = np.maximum(1.0 - 2.0 * above + square - excess**2, 0.0)
    return means - sigma * excess, sigma**2 * relative_variance


class _Steps(NamedTuple):
    """Moments before and after clipping; nearest inner point."""

    means: np.ndarray
    sigma: np.ndarray
    center: np.ndarray
    spread: np.ndarray
    nearest: np.ndarray


def _three_points(grid: np.ndarray, steps: _Steps) -> tuple[np.ndarray, np.ndarray]:
    _, _, center, spread, nearest = steps
    left, right = grid[nearest] - grid[nearest - 1], grid[nearest + 1] - grid[nearest]
    offset = center - grid[nearest]
    square = spread + offset**2
    # all three masses >= 0
    square = np.maximum(square, np.maximum(offset * right, -offset * left))
    square = np.minimum(square, left * right + offset * (right - left))
    up = (square + offset * left) / (right * (left + right))
    down = (square - offset * right) / (left * (left + right))
    index = nearest[:, None] + np.array([-1, 0, 1])
    return index, np.maximum(np.stack([down, 1.0 - up - down, up], axis=1), 0.0)


def _gaussian_masses(grid: np.ndarray, steps: _Steps) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtr

    means, sigma, center, spread, _ = steps
    first = np.searchsorted(grid, means - _CUT * sigma)
    last = np.searchsorted(grid, means + _CUT * sigma)
    first = np.minimum(first, len(grid) - 2)
    index = first[:, None] + np.arange(max(int((last - first).max()), 2))
    inside = (index < np.maximum(last, first + 2)[:, None]) & (index < len(grid))
    index = np.minimum(index, len(grid) - 1)
    z = (grid[index] - means[:, None]) / sigma[:, None]
    mass = np.where(inside, np.exp(-0.5 * z * z) * cells(grid)[index], 0.0)
    mass /= sigma[:, None] * math.sqrt(2.0 * math.pi)
    if grid[-1] == 0.0:
        mass += np.where(inside & (index == len(grid) - 1), ndtr(means / sigma)[:, None], 0.0)

    # mass * (p0 + p1 z + p2 z^2) with the exact moments; z from the clipped mean, in units of sigma
    z = (grid[index] - center[:, None]) / sigma[:, None]
    weighted = [mass]
    for _ in range(4):
        weighted.append(weighted[-1] * z)  # a power of z, by `**`, would take most of the time
    powers = np.stack([power.sum(axis=1) for power in weighted], axis=1)
    hankel = powers[:, np.arange(3)[:, None] + np.arange(3)]
    target = np.stack([np.ones_like(sigma), np.zeros_like(sigma), spread / sigma**2], axis=1)
    # Uncorrected where the step passes an end of the grid other than 0: there is no mass there.
    inside = (means - grid[0] > 6.0 * sigma) & (
        (grid[-1] == 0.0) | (grid[-1] - means > 6.0 * sigma)
    )
    hankel[~inside], target[~inside] = np.eye(3), np.array([1.0, 0.0, 0.0])
    p = np.linalg.solve(hankel, target[..., None])[..., 0]
    # The polynomial may dip below 0 near an end: masses >= 0 take precedence over exact moments.
    return index, np.maximum(mass * (p[:, :1] + p[:, 1:2] * z + p[:, 2:] * z * z), 0.0)
