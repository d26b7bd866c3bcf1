"""Gaussian moments of one layer: values, kernel derivatives, second moments.

z ~ N(0, K), entries (a, b), a <= b: g_ab = E phi(z_a) phi(z_b), h_ab = E phi'(z_a) phi'(z_b), with
derivatives [.., 3] and [.., 3, 3] by (K_aa, K_ab, K_bb) of the density, valid with kinks:

    dE f/dK_cd = c_cd E f (y_c y_d - P_cd),    y = P z,  P = K^-1,  c_cd = 1/2 if c = d else 1;

second derivatives use the Hermite tensor of degree 4. z = L u: tensors of z are those of u
contracted with L^-T: fixed nodes, one matrix of weights per derivative. Rounding
1e-16 / (1 - rho^2)^2; closer than `NEAR`, smooth activations use `numerics.smooth_moments`,
homogeneous ones `kernel_corrections.homogeneous`.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.theory.numerics.gaussian_pairs import kinked_rule
from deepinit.theory.numerics.normal_nodes import (
    DiskRule,
    disk_rule,
    half_count,
    has_parity,
    values_and_derivatives,
)

NEAR = 1e-2  # 1 - rho^2 below which smooth activations are differentiated instead of the density
LARGEST_STD = 3000.0  # of preactivations of a smooth activation: 120 nodes per unit
_LARGEST_BLOCK = 400_000  # nodes times pairs held at once: about 100 MB


class Derivatives(NamedTuple):
    """E f as a function of (K_aa, K_ab, K_bb): [n], [n, 3], [n, 3, 3]."""

    value: np.ndarray
    gradient: np.ndarray
    hessian: np.ndarray


class EntryMoments(NamedTuple):
    """Moments g and h of n entries (a, b), with derivatives.

    products: [n, 6, 6], E F F^T, F = (phi_a phi_a, phi_a phi_b, phi_b phi_b, phi'_a phi'_a, phi'_a
    phi'_b, phi'_b phi'_b).
    """

    g: Derivatives
    h: Derivatives
    products: np.ndarray


def single_moments(activation: Activation, variances: np.ndarray) -> EntryMoments:
    """Entries (a, a) by one-dimensional quadrature, relative error 1e-13.

    `products` with b = a; derivatives by K_aa first. SpecError: no kinks and a standard deviation
    above `LARGEST_STD`.
    """
    std = np.sqrt(np.asarray(variances, dtype=np.float64))
    if not activation.kinks and not std.max(initial=0.0) <= LARGEST_STD:
        given = f"{activation!r} at preactivations of standard deviation {std.max():.3g}"
        remedy = "Take a weight variance nearer to the critical one, or fewer layers."
        raise SpecError(given, f"standard deviations up to {LARGEST_STD:g}", remedy)
    if activation.kinks:
        rules = [normal_rule(tuple(kink / s for kink in activation.kinks), 120) for s in std]
        nodes, weights = (np.stack([rule[part] for rule in rules]) for part in range(2))
    else:
        nodes, weights = normal_rule((), 2 * round(120 * max(1.0, float(std.max(initial=1.0)))) + 1)
        nodes, weights = (np.broadcast_to(part, (len(std), len(part))) for part in (nodes, weights))
    z = std[:, None] * nodes
    phi, slope = values_and_derivatives(activation, z)
    square = nodes**2
    hermite = np.stack(
        [weights, weights * (square - 1.0), weights * (square**2 - 6.0 * square + 3.0)], axis=2
    )
    features = np.stack([phi * phi, slope * slope], axis=1)
    moments = (features @ hermite).transpose(1, 0, 2)
    second = (features * weights[:, None]) @ features.transpose(0, 2, 1)
    products = np.repeat(np.repeat(second, 3, axis=1), 3, axis=2)

    def derivatives(f: np.ndarray) -> Derivatives:
        gradient, hessian = np.zeros((len(std), 3)), np.zeros((len(std), 3, 3))
        gradient[:, 0] = 0.5 * f[:, 1] / std**2
        hessian[:, 0, 0] = 0.25 * f[:, 2] / std**4
        return Derivatives(f[:, 0], gradient, hessian)

    return EntryMoments(derivatives(moments[0]), derivatives(moments[1]), products)


def pair_moments(activation: Activation, kernels: np.ndarray) -> EntryMoments:
    """Entries (a, b), a != b, by quadrature in two dimensions, to 1e-13 / (1 - rho^2)^2."""
    kernels = np.asarray(kernels, dtype=np.float64)
    if activation.kinks:
        blocks = [_kinked_block(activation, kernel) for kernel in kernels]
    else:
        half = half_count(activation, math.sqrt(float(kernels[:, [0, 2]].max(initial=0.0))))
        folded = has_parity(activation)  # z and -z give the same features
        rule, hermite = disk_rule(half, folded), _disk_weights(half, folded)
        size = max(1, _LARGEST_BLOCK // len(rule.weights))
        parts = [kernels[start : start + size] for start in range(0, len(kernels), size)]
        blocks = [_smooth_block(activation, part, rule, hermite) for part in parts]
    return joined(blocks)


@lru_cache(maxsize=16)
def _disk_weights(half: int, folded: bool) -> np.ndarray:
    rule = disk_rule(half, folded)
    return _hermite_weights(rule.nodes, rule.weights)


def joined(blocks: list[EntryMoments]) -> EntryMoments:
    """Concatenation over entries."""

    def derivatives(name: str) -> Derivatives:
        parts = zip(*(getattr(block, name) for block in blocks), strict=True)
        return Derivatives(*(np.concatenate(part) for part in parts))

    products = np.concatenate([block.products for block in blocks])
    return EntryMoments(derivatives("g"), derivatives("h"), products)


def cholesky_pair(kernels: np.ndarray) -> np.ndarray:
    """[n, 2, 2] lower factors L of (K_aa, K_ab, K_bb)."""
    lower = np.zeros((len(kernels), 2, 2))
    lower[:, 0, 0] = np.sqrt(kernels[:, 0])
    lower[:, 1, 0] = kernels[:, 1] / lower[:, 0, 0]
    lower[:, 1, 1] = np.sqrt(kernels[:, 2] - lower[:, 1, 0] ** 2)
    return lower


def _hermite_weights(nodes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """[9, m]: weights times He (0,0); (2,0), (1,1), (0,2); (4,0), (3,1), (2,2), (1,3), (0,4)."""
    u, v = nodes[:, 0], nodes[:, 1]
    u2, v2 = u * u - 1.0, v * v - 1.0
    u3, v3 = (u2 - 2.0) * u, (v2 - 2.0) * v
    u4, v4 = u * u3 - 3.0 * u2, v * v3 - 3.0 * v2
    return np.stack([np.ones_like(u), u2, u * v, v2, u4, u3 * v, u2 * v2, u * v3, v4]) * weights


def _kinked_block(activation: Activation, kernel: np.ndarray) -> EntryMoments:
    std_a, std_b = math.sqrt(kernel[0]), math.sqrt(kernel[2])
    theta = math.acos(min(max(kernel[1] / (std_a * std_b), -1.0), 1.0))
    x, y, weights = kinked_rule(theta, std_a, std_b, activation.kinks)
    nodes = np.stack([x, y], axis=1)
    z = nodes @ cholesky_pair(kernel[None])[0].T
    (phi_a, phi_b), (slope_a, slope_b) = (
        part.T[:, None] for part in values_and_derivatives(activation, z)
    )
    hermite = _hermite_weights(nodes, weights)
    return _from_values(kernel[None], phi_a, phi_b, slope_a, slope_b, hermite)


def _smooth_block(
    activation: Activation, kernels: np.ndarray, rule: DiskRule, hermite: np.ndarray
) -> EntryMoments:
    """z_a = L_aa u, at the few values of u."""
    lower = cholesky_pair(kernels)
    of_a = values_and_derivatives(activation, lower[:, 0, :1] * rule.line)
    of_b = values_and_derivatives(activation, lower[:, 1] @ rule.nodes.T)
    phi_a, slope_a = (part[:, rule.place] for part in of_a)
    return _from_values(kernels, phi_a, of_b[0], slope_a, of_b[1], hermite)


def _from_values(
    kernels: np.ndarray,
    phi_a: np.ndarray,
    phi_b: np.ndarray,
    slope_a: np.ndarray,
    slope_b: np.ndarray,
    hermite: np.ndarray,
) -> EntryMoments:
    """From phi and phi' at the nodes."""
    features = np.empty((len(kernels), 6, hermite.shape[1]))
    factors = [(phi_a, phi_a), (phi_a, phi_b), (phi_b, phi_b)]
    factors += [(slope_a, slope_a), (slope_a, slope_b), (slope_b, slope_b)]
    for at, (left, right) in enumerate(factors):
        np.multiply(left, right, out=features[:, at])
    moments = features[:, [1, 4]] @ hermite.T  # [n, 2, 9]
    products = (features * hermite[0]) @ features.transpose(0, 2, 1)
    return EntryMoments(*_from_hermite(moments, kernels), products)


_HALVES = np.array([0.5, 1.0, 0.5])
_INDEX = np.arange(3)[:, None] + np.arange(3)  # how many of the four indices are b


def _from_hermite(moments: np.ndarray, kernels: np.ndarray) -> tuple[Derivatives, Derivatives]:
    """From E f He(u) of g and h, [n, 2, 9], by y = L^-T u: y_a = x u + y v, y_b = z v."""
    lower = cholesky_pair(kernels)
    z = 1.0 / lower[:, 1, 1]
    x = 1.0 / lower[:, 0, 0]
    y = -lower[:, 1, 0] * x * z
    zero = np.zeros_like(x)
    # rows aa, ab, bb
    second = np.array([[x * x, 2.0 * x * y, y * y], [zero, x * z, y * z], [zero, zero, z * z]])
    powers = [x**4, 4.0 * x**3 * y, 6.0 * x**2 * y**2, 4.0 * x * y**3, y**4]
    cubes = [zero, x**3 * z, 3.0 * x**2 * y * z, 3.0 * x * y**2 * z, y**3 * z]
    squares = [zero, zero, x**2 * z**2, 2.0 * x * y * z**2, y**2 * z**2]
    singles = [zero, zero, zero, x * z**3, y * z**3]
    # rows aaaa, aaab, aabb, abbb, bbbb
    fourth = np.array([powers, cubes, squares, singles, [zero, zero, zero, zero, z**4]])
    gradients = moments[:, :, 1:4] @ np.moveaxis(second, 2, 0).transpose(0, 2, 1)
    tensors = moments[:, :, 4:] @ np.moveaxis(fourth, 2, 0).transpose(0, 2, 1)
    hessians = np.outer(_HALVES, _HALVES) * tensors[:, :, _INDEX]
    g, h = (
        Derivatives(moments[:, f, 0], _HALVES * gradients[:, f], hessians[:, f]) for f in range(2)
    )
    return g, h
