"""Gaussian moments of one layer that carry kernels of pairs to order 1/width: values, derivatives by the kernel, second moments.

For preactivations z ~ N(0, K) of k inputs, entries (a, b), a <= b, of symmetric matrices ("vech" order):

    g_ab = E phi(z_a) phi(z_b),    h_ab = E phi'(z_a) phi'(z_b),    and dE f/dK = moving the density, never the function:

    dE f/dK_cd = c_cd E f (y_c y_d - P_cd),    y = P z, P = K^-1, c_cd = 1/2 if c = d else 1      (K_cd and K_dc tied)

and the same with the Hermite tensor of degree 4 for second derivatives. With z = L u, u standard normal, the Hermite tensors of z are
those of u contracted with A = L^-T, so that every derivative comes from one matrix of weights on fixed nodes. It holds for every phi,
kinks included, whose second derivatives a quadrature would miss. The price is a factor 1e-16/(1 - rho^2)^2 of rounding: smooth activations whose inputs
are closer than `NEAR` go to `kernel_correction_smooth`, and homogeneous ones have closed forms (`kernel_correction_homogeneous`).

Since g_ab and h_ab depend on K_aa, K_ab, K_bb alone, all derivatives are [.., 3] and [.., 3, 3] in that order.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.gaussian import normal_rule
from deepinit.theory.kernel_correction_nodes import disk_rule, has_parity, values_and_slopes
from deepinit.theory.pair_frames import _kinked_rule

NEAR = 1e-2  # 1 - rho^2 below which smooth activations are differentiated instead of the density
_LARGEST_BLOCK = 400_000  # nodes times pairs held at once: about 100 MB


class Derivatives(NamedTuple):
    """E f as a function of (K_aa, K_ab, K_bb): value [n], gradient [n, 3], hessian [n, 3, 3]."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class EntryMoments(NamedTuple):
    """Of n entries (a, b): g and h with derivatives; `products` [n, 6, 6], E F F^T of F = (phi_a phi_a, phi_a phi_b,
    phi_b phi_b, phi'_a phi'_a, phi'_a phi'_b, phi'_b phi'_b)."""

    g: Derivatives
    h: Derivatives
    products: np.ndarray


def single_moments(activation: Activation, variances: np.ndarray) -> EntryMoments:
    """Entries (a, a) by one-dimensional quadrature; derivatives stand in the first of the three places.

    Args:
        activation: smooth between its kinks.
        variances: [n] K_aa > 0.

    Returns:
        Relative error about 1e-13; `products` has its six features from a = b.
    """
    std = np.sqrt(np.asarray(variances, dtype=np.float64))
    if activation.kinks:
        rules = [normal_rule(tuple(kink / s for kink in activation.kinks), 120) for s in std]
        nodes, weights = (np.stack([rule[part] for rule in rules]) for part in range(2))
    else:
        nodes, weights = normal_rule((), 2 * round(120 * max(1.0, float(std.max(initial=1.0)))) + 1)
        nodes, weights = (
            np.broadcast_to(nodes, (len(std), len(nodes))),
            np.broadcast_to(weights, (len(std), len(nodes))),
        )
    z = std[:, None] * nodes
    phi, slope = values_and_slopes(activation, z)
    hermite = np.stack([np.ones_like(nodes), nodes**2 - 1.0, nodes**4 - 6.0 * nodes**2 + 3.0], axis=1)
    features = np.stack([phi * phi, slope * slope], axis=1)
    moments = np.einsum("nwq,nq,nfq->fnw", hermite, weights, features)
    second = np.einsum("nfq,nq,neq->nfe", features, weights, features)
    products = np.repeat(np.repeat(second, 3, axis=1), 3, axis=2)

    def derivatives(f: np.ndarray) -> Derivatives:
        gradient, hessian = np.zeros((len(std), 3)), np.zeros((len(std), 3, 3))
        gradient[:, 0] = 0.5 * f[:, 1] / std**2
        hessian[:, 0, 0] = 0.25 * f[:, 2] / std**4
        return Derivatives(f[:, 0], gradient, hessian)

    return EntryMoments(derivatives(moments[0]), derivatives(moments[1]), products)


def pair_moments(activation: Activation, kernels: np.ndarray) -> EntryMoments:
    """Entries (a, b), a != b, by two-dimensional quadrature.

    Args:
        activation: smooth between its kinks.
        kernels: [n, 3] of (K_aa, K_ab, K_bb), positive definite.

    Returns:
        Relative error about 1e-13 / (1 - rho^2)^2.
    """
    kernels = np.asarray(kernels, dtype=np.float64)
    if activation.kinks:
        blocks = [_kinked_block(activation, kernel) for kernel in kernels]
    else:
        nodes, weights = disk_rule(math.sqrt(float(kernels[:, [0, 2]].max(initial=0.0))))
        if has_parity(activation):  # z and -z give the same features
            kept = (nodes[:, 0] > 1e-9) | ((np.abs(nodes[:, 0]) <= 1e-9) & (nodes[:, 1] >= -1e-9))
            twice = np.where((np.abs(nodes) <= 1e-9).all(axis=1), 1.0, 2.0)
            nodes, weights = nodes[kept], (twice * weights)[kept]
        size = max(1, _LARGEST_BLOCK // len(nodes))
        parts = [kernels[start : start + size] for start in range(0, len(kernels), size)]
        hermite = _hermite_weights(nodes, weights)
        blocks = [_block(activation, part, nodes[None], hermite[None]) for part in parts]
    return joined(blocks)


def joined(blocks: list[EntryMoments]) -> EntryMoments:
    """Blocks of entries one after the other."""

    def derivatives(name: str) -> Derivatives:
        return Derivatives(*(np.concatenate(part) for part in zip(*(getattr(b, name) for b in blocks), strict=True)))

    return EntryMoments(derivatives("g"), derivatives("h"), np.concatenate([block.products for block in blocks]))


def cholesky_pair(kernels: np.ndarray) -> np.ndarray:
    """[n, 2, 2] lower factors L of (K_aa, K_ab, K_bb)."""
    lower = np.zeros((len(kernels), 2, 2))
    lower[:, 0, 0] = np.sqrt(kernels[:, 0])
    lower[:, 1, 0] = kernels[:, 1] / lower[:, 0, 0]
    lower[:, 1, 1] = np.sqrt(kernels[:, 2] - lower[:, 1, 0] ** 2)
    return lower


def _hermite_weights(nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[9, m]: weights times He of degree 0; (2,0), (1,1), (0,2); (4,0), (3,1), (2,2), (1,3), (0,4)."""
    u, v = nodes[:, 0], nodes[:, 1]
    u2, v2 = u * u - 1.0, v * v - 1.0
    u3, v3 = (u2 - 2.0) * u, (v2 - 2.0) * v
    u4, v4 = u * u3 - 3.0 * u2, v * v3 - 3.0 * v2
    return np.stack([np.ones_like(u), u2, u * v, v2, u4, u3 * v, u2 * v2, u * v3, v4]) * weights


def _kinked_block(activation: Activation, kernel: np.ndarray) -> EntryMoments:
    std_a, std_b = math.sqrt(kernel[0]), math.sqrt(kernel[2])
    theta = math.acos(min(max(kernel[1] / (std_a * std_b), -1.0), 1.0))
    x, y, weights = _kinked_rule(theta, std_a, std_b, activation.kinks)
    nodes = np.stack([x, y], axis=1)
    return _block(activation, kernel[None], nodes[None], _hermite_weights(nodes, weights)[None])


def _block(activation: Activation, kernels: np.ndarray, nodes: np.ndarray, hermite: np.ndarray) -> EntryMoments:
    lower = cholesky_pair(kernels)
    z = np.einsum("nij,nmj->inm", lower, np.broadcast_to(nodes, (len(kernels), *nodes.shape[1:])))
    (phi_a, phi_b), (slope_a, slope_b) = values_and_slopes(activation, z)
    features = np.stack(
        [phi_a * phi_a, phi_a * phi_b, phi_b * phi_b, slope_a * slope_a, slope_a * slope_b, slope_b * slope_b], axis=1
    )
    products = (features * hermite[:, :1]) @ features.transpose(0, 2, 1)
    moments = features[:, [1, 4]] @ hermite.transpose(0, 2, 1)  # [n, 2, 9]
    inverse = np.linalg.inv(lower).transpose(0, 2, 1)
    return EntryMoments(_from_hermite(moments[:, 0], inverse), _from_hermite(moments[:, 1], inverse), products)


_SECOND = np.array([[0, 1], [1, 2]]) + 1
_FOURTH = np.indices((2, 2, 2, 2)).sum(axis=0) + 4
_ROWS, _COLUMNS, _HALVES = np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([0.5, 1.0, 0.5])


def _from_hermite(moments: np.ndarray, inverse: np.ndarray) -> Derivatives:
    """From E f He(u) [n, 9] and A = L^-T [n, 2, 2]."""
    second = np.einsum("nij,nai,nbj->nab", moments[:, _SECOND], inverse, inverse)
    fourth = np.einsum("nijkl,nai,nbj,nck,ndl->nabcd", moments[:, _FOURTH], *[inverse] * 4, optimize=True)
    gradient = _HALVES * second[:, _ROWS, _COLUMNS]
    pairs = fourth[:, _ROWS, _COLUMNS][:, :, _ROWS, _COLUMNS]
    return Derivatives(moments[:, 0], gradient, np.outer(_HALVES, _HALVES) * pairs)
