"""Gaussian moments of one layer for 1/width corrections, all kernel entries.

Entries e = (a, b), a <= b, row-major upper triangle; derivatives by `neighbours[e]` = (aa, ab, bb),
for a = b by the first only.
"""

import itertools
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.theory.kernel_corrections.homogeneous import (
    homogeneous_pair_moments,
    homogeneous_single_moments,
)
from deepinit.theory.numerics.entries import Entries
from deepinit.theory.numerics.kernel_moments import (
    NEAR,
    Derivatives,
    EntryMoments,
    joined,
    pair_moments,
    single_moments,
)
from deepinit.theory.numerics.smooth_moments import smooth_pair_moments


class LayerMoments(NamedTuple):
    """Moments of one layer with preactivations N(0, K).

    g, h: [p] E phi_a phi_b and E phi'_a phi'_b, with derivatives at `neighbours`; phi_phi,
    phi_slope, slope_slope: [p, p], E of phi_a phi_b or phi'_a phi'_b times phi_c phi_d or phi'_c
    phi'_d.
    """

    g: Derivatives
    h: Derivatives
    phi_phi: np.ndarray
    phi_slope: np.ndarray
    slope_slope: np.ndarray


def layer_moments(activation: Activation, kernel: np.ndarray, where: Entries) -> LayerMoments:
    """All moments of one layer, K positive definite on every pair; NaN for three or more inputs."""
    single = single_entry_moments(activation, kernel[where.diagonal])
    places = where.neighbours[where.mixed]
    pair = pair_entry_moments(activation, kernel[places]) if len(where.mixed) else None
    order = np.concatenate([where.diagonal, where.mixed])

    def in_order(name: str) -> Derivatives:
        parts = [getattr(single, name)] + ([getattr(pair, name)] if pair is not None else [])
        result = []
        for fields in zip(*parts, strict=True):
            stacked = np.concatenate(fields)
            ordered = np.empty_like(stacked)
            ordered[order] = stacked
            result.append(ordered)
        return Derivatives(*result)

    count = len(where.rows)
    second = np.full((2, 2, count, count), np.nan)
    blocks = [(places, pair.products)] if pair is not None else []
    blocks.append((where.diagonal[:, None], single.products[:, ::3, ::3]))  # more accurate: last
    for places, products in blocks:
        width = places.shape[1]
        for i, j in itertools.product(range(2), repeat=2):
            block = products[:, i * width : (i + 1) * width, j * width : (j + 1) * width]
            second[i, j, places[:, :, None], places[:, None, :]] = block
    return LayerMoments(in_order("g"), in_order("h"), second[0, 0], second[0, 1], second[1, 1])


def single_entry_moments(activation: Activation, variances: np.ndarray) -> EntryMoments:
    """Closed form where known, else quadrature."""
    if activation.slopes is not None:
        return homogeneous_single_moments(activation.slopes, variances)
    return single_moments(activation, variances)


def pair_entry_moments(activation: Activation, kernels: np.ndarray) -> EntryMoments:
    """Closed form where known, else quadrature; nearly parallel: derivatives of the activation."""
    if activation.slopes is not None:
        return homogeneous_pair_moments(activation.slopes, kernels)
    sine2 = 1.0 - kernels[:, 1] ** 2 / (kernels[:, 0] * kernels[:, 2])
    near = (sine2 < NEAR) & (not activation.kinks)
    if not near.any():
        return pair_moments(activation, kernels)
    if near.all():
        return smooth_pair_moments(activation, kernels)
    both = joined(
        [pair_moments(activation, kernels[~near]), smooth_pair_moments(activation, kernels[near])]
    )
    back = np.argsort(np.concatenate([np.flatnonzero(~near), np.flatnonzero(near)]))
    g, h = (Derivatives(*(part[back] for part in parts)) for parts in (both.g, both.h))
    return EntryMoments(g, h, both.products[back])
