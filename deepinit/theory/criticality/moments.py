"""Gaussian moments of one preactivation by adaptive quadrature, any variance.

g(K) = E phi(z)^2, h(K) = E phi'(z)^2, g'(K) = E[z phi(z) phi'(z)] / K, z ~ N(0, K). Gauss-Legendre
panels, geometric around 0, split at declared kinks, are bisected until no integral changes;
undeclared kinks only cost panels. All variances advance together.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.theory.numerics.normal_nodes import values_and_derivatives

_RADIUS = 38.0  # standard deviations; phi = exp has its mass at 2 sqrt(K) of them
_PANELS_A_SIDE = 31  # the innermost ends at 38 * 2**-30 standard deviations,
_INNERMOST = 2.0**20  # and at 38 / 2**30 * 2**20 = 0.04 for every standard deviation beyond this
_TOLERANCE = 1e-13
_ROUNDS = 60
_MOST_PANELS = 4096  # of one variance at once: sin at K = 1e6 takes 3000
_CHUNK = 2048  # panels evaluated at once
_SIZES = (4096, 16 * _CHUNK)  # of the arrays that an activation sees: two compilations
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


class SingleMoments(NamedTuple):
    """Moments g = E phi^2, h = E phi'^2, dg/dK; NaN where infinite or not converged.

    discontinuity: relative difference of E z phi phi' and E (z^2/K - 1) phi^2 / 2, 0 unless phi
    jumps or phi' is not its derivative.
    """

    square: Float[np.ndarray, "k"]
    slope_square: Float[np.ndarray, "k"]
    growth: Float[np.ndarray, "k"]
    discontinuity: Float[np.ndarray, "k"]


def single_variance_moments(
    activation: Activation, variances: Real[Array, "k"] | Plain, shift: float = 0.0
) -> SingleMoments:
    """g, h and g' of phi - shift at K > 0, to 1e-13 of the integrals of absolute values."""
    variances = np.atleast_1d(np.asarray(variances, dtype=np.float64))
    std = np.sqrt(variances)
    owner, left, right = _first_panels(std, activation.kinks)
    total, settled = np.zeros((2, 4, len(std)))
    failed = np.zeros(len(std), dtype=bool)
    coarse, size = _integrals(activation, shift, std, owner, left, right)
    for _ in range(_ROUNDS):
        scale = settled + _sums(size, owner, len(std))
        middle = 0.5 * (left + right)
        halves = np.stack([left, middle, middle, right], axis=1).reshape(-1, 2).T
        twice = np.repeat(owner, 2)
        fine, fine_size = _integrals(activation, shift, std, twice, *halves)
        joined = fine[:, ::2] + fine[:, 1::2]
        with np.errstate(invalid="ignore"):  # phi overflowed
            good = (np.abs(joined - coarse) <= _TOLERANCE * scale[:, owner]).all(axis=0)
        total += _sums(joined[:, good], owner[good], len(std))
        settled += _sums((fine_size[:, ::2] + fine_size[:, 1::2])[:, good], owner[good], len(std))
        open_panels = np.bincount(owner[~good], minlength=len(std))
        failed |= ~np.isfinite(scale).all(axis=0) | (open_panels > _MOST_PANELS)
        keep = np.repeat(~good & ~failed[owner], 2)
        owner, left, right = twice[keep], halves[0, keep], halves[1, keep]
        coarse, size = fine[:, keep], fine_size[:, keep]
        if not len(owner):
            break
    failed[owner] = True
    with np.errstate(invalid="ignore"):
        failed |= ~(_ends(activation, shift, std) <= _TOLERANCE * total[:2]).all(axis=0)
    square, slope_square, growth, difference = np.where(failed, np.nan, total)
    discontinuity = np.abs(difference) / np.maximum(settled[3], np.finfo(float).tiny)
    return SingleMoments(square, slope_square, growth / variances, discontinuity)


def _first_panels(
    std: np.ndarray, kinks: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[p]: index of the variance, left and right end."""
    parts = []
    for index, scale in enumerate(std):
        more = math.ceil(math.log2(max(scale / _INNERMOST, 1.0)))
        powers = _RADIUS * 2.0 ** -np.arange(_PANELS_A_SIDE + more)
        inside = [kink for kink in kinks if abs(kink) < _RADIUS * scale]
        edges = np.unique(np.concatenate([-scale * powers, [0.0], scale * powers, inside]))
        parts.append((np.full(len(edges) - 1, index), edges[:-1], edges[1:]))
    owner, left, right = (np.concatenate(part) for part in zip(*parts, strict=True))
    return owner, left, right


def _ends(activation: Activation, shift: float, std: np.ndarray) -> np.ndarray:
    """[2, k]: bounds of both integrals beyond the range."""
    with np.errstate(over="ignore"):
        phi, slope = _values_and_derivatives(activation, _RADIUS * np.stack([-std, std]))
        squares = np.stack([phi - shift, slope]) ** 2
    return squares.max(axis=1) * _RADIUS * math.exp(-0.5 * _RADIUS**2)


def _integrals(
    activation: Activation,
    shift: float,
    std: np.ndarray,
    owner: np.ndarray,
    left: np.ndarray,
    right: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """[4, p] of integrands times density, and of absolute values."""
    if not len(owner):
        return np.zeros((4, 0)), np.zeros((4, 0))
    starts = [*range(0, len(owner), _CHUNK), len(owner)]
    chunks = [
        _chunk_integrals(activation, shift, std[owner[a:b]], left[a:b], right[a:b])
        for a, b in itertools.pairwise(starts)
    ]
    values, sizes = (np.concatenate(part, axis=1) for part in zip(*chunks, strict=True))
    return values, sizes


def _chunk_integrals(
    activation: Activation, shift: float, std: np.ndarray, left: np.ndarray, right: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    half = 0.5 * (right - left)
    z = half[:, None] * _NODES + 0.5 * (left + right)[:, None]
    unit = z / std[:, None]
    root = np.exp(-0.25 * unit * unit) / (2.0 * math.pi) ** 0.25  # of the density, never 0
    with np.errstate(over="ignore", invalid="ignore"):
        phi, slope = _values_and_derivatives(activation, z)
        phi, slope = (phi - shift) * root, slope * root
        square, growth = phi * phi, z * phi * slope
        by_parts = growth - 0.5 * (unit * unit - 1.0) * square
        integrands = np.stack([square, slope * slope, growth, by_parts])
        weights = _WEIGHTS * (half / std)[:, None]
        return (integrands * weights).sum(axis=-1), (np.abs(integrands) * weights).sum(axis=-1)


def _values_and_derivatives(activation: Activation, x: np.ndarray) -> np.ndarray:
    """[2, ...] phi(x) and phi'(x)."""
    size = next(size for size in _SIZES if x.size <= size)
    padded = np.concatenate([x.ravel(), np.zeros(size - x.size)])
    return np.stack(values_and_derivatives(activation, padded))[:, : x.size].reshape(2, *x.shape)


def _sums(parts: np.ndarray, owner: np.ndarray, count: int) -> np.ndarray:
    """[4, count]: sums over the panels of every variance."""
    return np.stack([np.bincount(owner, weights=part, minlength=count) for part in parts])
