"""Second moments of features of three and four inputs, E phi_a phi_b phi_c phi_d etc.

Linear: Isserlis' theorem. Three inputs, smooth: trapezoidal rule in three dimensions, relative
error 1e-9. Else: scrambled Sobol points of fixed seed; standard error from replicates.
"""

import math
from functools import lru_cache

import numpy as np

from deepinit.core.activations import Activation
from deepinit.theory.kernel_corrections.layer_moments import LayerMoments
from deepinit.theory.numerics.entries import Entries
from deepinit.theory.numerics.normal_nodes import values_and_derivatives

_REPLICATES, _LOG2_POINTS = 4, 10
_SPACING, _RADIUS = 0.3, 8.5


def with_vertex(
    moments: LayerMoments, activation: Activation, kernel: np.ndarray, where: Entries
) -> tuple[LayerMoments, float]:
    """Moments with missing second moments filled, and their largest standard error.

    The error is relative, of Cov(f_e, f_g) over sqrt(Var f_e Var f_g), 0 where exact.
    """
    if not np.isnan(moments.phi_phi).any():
        return moments, 0.0
    matrix = kernel[where.at]
    if activation.slopes is not None and activation.slopes[0] == activation.slopes[1]:
        return _linear(moments, activation.slopes[1], matrix, where), 0.0
    spectrum, vectors = np.linalg.eigh(matrix)
    factor = vectors * np.sqrt(np.maximum(spectrum, 0.0))
    smooth = activation.slopes is None and not activation.kinks
    if len(matrix) == 3 and smooth and spectrum[-1] <= 1.5**2:
        rules = [_ball_rule()]
    else:
        rules = [_sobol_rule(len(matrix), replicate) for replicate in range(_REPLICATES)]
    seconds = np.stack([_covariance(activation, factor, *rule, where) for rule in rules])
    error = np.zeros_like(seconds[0])
    if len(rules) > 1:
        error = seconds.std(axis=0, ddof=1) / math.sqrt(_REPLICATES)
    covariance = seconds.mean(axis=0)
    scale = np.sqrt(np.diag(covariance))
    missing = np.isnan(
        np.block([[moments.phi_phi, moments.phi_slope], [moments.phi_slope.T, moments.slope_slope]])
    )
    relative = np.where(missing, error / np.maximum(np.outer(scale, scale), 1e-300), 0.0)
    count = len(where.rows)
    g, h = moments.g.value, moments.h.value

    def filled(exact: np.ndarray, block: np.ndarray, means: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(exact), block + means, exact)

    return moments._replace(
        phi_phi=filled(moments.phi_phi, covariance[:count, :count], np.outer(g, g)),
        phi_slope=filled(moments.phi_slope, covariance[:count, count:], np.outer(g, h)),
        slope_slope=filled(moments.slope_slope, covariance[count:, count:], np.outer(h, h)),
    ), float(relative.max())


def _linear(moments: LayerMoments, slope: float, k: np.ndarray, where: Entries) -> LayerMoments:
    """Isserlis' theorem."""
    a, b = where.rows, where.columns
    flat = k[a, b]
    pairings = (
        np.outer(flat, flat) + k[np.ix_(a, a)] * k[np.ix_(b, b)] + k[np.ix_(a, b)] * k[np.ix_(b, a)]
    )
    ones = np.ones_like(pairings)
    return moments._replace(
        phi_phi=slope**4 * pairings,
        phi_slope=slope**4 * flat[:, None] * ones,
        slope_slope=slope**4 * ones,
    )


def _covariance(
    activation: Activation,
    factor: np.ndarray,
    nodes: np.ndarray,
    weights: np.ndarray,
    where: Entries,
) -> np.ndarray:
    """[2p, 2p] covariance of phi_a phi_b and phi'_a phi'_b."""
    z = factor @ nodes.T
    phi, slope = values_and_derivatives(activation, z)
    a, b = where.rows, where.columns
    features = np.concatenate([phi[a] * phi[b], slope[a] * slope[b]])
    features -= (features @ weights)[:, None]
    return (features * weights) @ features.T


@lru_cache(maxsize=16)
def _sobol_rule(dimension: int, replicate: int) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtri
    from scipy.stats import qmc

    points = qmc.Sobol(
        dimension, scramble=True, rng=np.random.default_rng([2026, replicate])
    ).random_base2(_LOG2_POINTS)
    normals = ndtri(np.clip(points, 1e-12, 1.0 - 1e-12))
    both = np.concatenate([normals, -normals])  # odd moments vanish exactly
    return both, np.full(len(both), 1.0 / len(both))


@lru_cache(maxsize=1)
def _ball_rule() -> tuple[np.ndarray, np.ndarray]:
    half = math.ceil(_RADIUS / _SPACING)
    line = np.arange(-half, half + 1) * _SPACING
    nodes = np.stack(
        [axis.ravel() for axis in np.meshgrid(line, line, line, indexing="ij")], axis=1
    )
    square = (nodes**2).sum(axis=1)
    inside = square <= _RADIUS**2
    return nodes[inside], _SPACING**3 * np.exp(-0.5 * square[inside]) / (2.0 * math.pi) ** 1.5
