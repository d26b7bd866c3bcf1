"""Gaussian moments of one layer, homogeneous activation, closed form.

phi(x) = m x + d |x|, m = (right + left)/2, d = (right - left)/2, D = sqrt(K_aa K_bb - K_ab^2),
rho = K_ab / sqrt(K_aa K_bb):

    g_ab = m^2 K_ab + d^2 (2/pi) (D + K_ab asin rho),     g_aa = (left^2 + right^2)/2 K_aa,
    h_ab = m^2 + d^2 (2/pi) asin rho.

Products of four features: trigonometric polynomials on the arcs between sign changes, times E R^4,
E R^2, 1 = 8, 2, 1.
"""

import math

import numpy as np

from deepinit.core.gauss_legendre import unit_rule
from deepinit.theory.numerics.kernel_moments import Derivatives, EntryMoments

PARALLEL = 1e-7  # 1 - |rho| below which rounding leaves less than four digits of corrections

_ARC_NODES = 20  # exact to rounding for trigonometric polynomials of degree 4 on arcs up to pi


def homogeneous_single_moments(slopes: tuple[float, float], variances: np.ndarray) -> EntryMoments:
    """Entries (a, a); layout of `single_moments`."""
    left, right = slopes
    p, q = 0.5 * (left**2 + right**2), 0.5 * (left**4 + right**4)
    variance = np.asarray(variances, dtype=np.float64)
    count = len(variance)
    gradient = np.zeros((count, 3))
    gradient[:, 0] = p
    zeros = np.zeros((count, 3, 3))
    rows = [[3 * q * variance**2, q * variance], [q * variance, np.full(count, q)]]
    second = np.moveaxis(np.array(rows), 2, 0)
    return EntryMoments(
        Derivatives(p * variance, gradient, zeros),
        Derivatives(np.full(count, p), np.zeros((count, 3)), zeros),
        np.repeat(np.repeat(second, 3, axis=1), 3, axis=2),
    )


def homogeneous_pair_moments(slopes: tuple[float, float], kernels: np.ndarray) -> EntryMoments:
    """Entries (a, b), as `pair_moments`; diverging derivatives are NaN within `PARALLEL`."""
    left, right = slopes
    straight, bent = (0.5 * (right + left)) ** 2, (0.5 * (right - left)) ** 2 * 2.0 / math.pi
    a, c, b = np.asarray(kernels, dtype=np.float64).T
    root = np.sqrt((np.sqrt(a * b) - c) * (np.sqrt(a * b) + c))  # keeps the digits of a small angle
    angle = np.arctan2(c, root)  # asin rho
    singular = np.where(root * root > 2.0 * PARALLEL * a * b, root, np.nan)
    zero, one = np.zeros_like(a), np.ones_like(a)

    absolute = Derivatives(
        root + c * angle,
        np.stack([0.5 * root / a, angle, 0.5 * root / b], axis=-1),
        _symmetric(
            0.25 * b / (a * singular) - 0.5 * singular / a**2,
            -0.5 * c / (a * singular),
            0.25 / singular,
            1.0 / singular,
            -0.5 * c / (b * singular),
            0.25 * a / (b * singular) - 0.5 * singular / b**2,
        ),
    )
    cube = singular**3
    sign = Derivatives(
        angle,
        np.stack([-0.5 * c / (a * singular), 1.0 / singular, -0.5 * c / (b * singular)], axis=-1),
        _symmetric(
            0.5 * c / (a**2 * singular) + 0.25 * c * b / (a * cube),
            -0.5 * b / cube,
            0.25 * c / cube,
            c / cube,
            -0.5 * a / cube,
            0.5 * c / (b**2 * singular) + 0.25 * c * a / (b * cube),
        ),
    )
    if bent == 0.0:  # linear: nothing singular even for parallel inputs
        absolute, sign = (
            Derivatives(*(np.zeros_like(part) for part in parts)) for parts in (absolute, sign)
        )
    g = Derivatives(
        straight * c + bent * absolute.value,
        np.stack([zero, straight * one, zero], axis=-1) + bent * absolute.gradient,
        bent * absolute.hessian,
    )
    h = Derivatives(straight + bent * sign.value, bent * sign.gradient, bent * sign.hessian)
    return EntryMoments(g, h, _products(slopes, a, b, 0.5 * math.pi - angle))


def _symmetric(aa_aa, aa_ab, aa_bb, ab_ab, ab_bb, bb_bb):
    """[n, 3, 3] from its upper triangle."""
    rows = [[aa_aa, aa_ab, aa_bb], [aa_ab, ab_ab, ab_bb], [aa_bb, ab_bb, bb_bb]]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _products(
    slopes: tuple[float, float], a: np.ndarray, b: np.ndarray, theta: np.ndarray
) -> np.ndarray:
    """z_a = sqrt(a) R cos t, z_b = sqrt(b) R cos(t - theta) on the four arcs."""
    left, right = slopes
    unit, mass = unit_rule(_ARC_NODES)
    mass = mass / (2.0 * math.pi)
    opening = theta[:, None]
    wide = np.maximum(math.pi - opening, 0.0)
    same = 0.5 * math.pi - wide * unit  # both positive; both negative on the opposite arc
    apart = opening * unit  # from the sign change of z_a on
    rest = opening - apart
    cos_a = [np.cos(same), np.cos(same), np.sin(apart), np.sin(apart)]
    cos_b = [np.cos(same - opening), np.cos(same - opening), np.sin(rest), np.sin(rest)]
    weights = np.concatenate([wide * mass, wide * mass, opening * mass, opening * mass], axis=1)
    signs_a, signs_b = (1.0, -1.0, 1.0, -1.0), (1.0, -1.0, -1.0, 1.0)

    def slope(sign: float) -> float:
        return right if sign > 0 else left

    features = []
    for arc in range(4):
        slope_a, slope_b = slope(signs_a[arc]), slope(signs_b[arc])
        phi_a = signs_a[arc] * slope_a * np.sqrt(a)[:, None] * cos_a[arc]
        phi_b = signs_b[arc] * slope_b * np.sqrt(b)[:, None] * cos_b[arc]
        one = np.ones_like(phi_a)
        squares = [slope_a**2 * one, slope_a * slope_b * one, slope_b**2 * one]
        features.append(np.stack([phi_a * phi_a, phi_a * phi_b, phi_b * phi_b, *squares], axis=1))
    f = np.concatenate(features, axis=2)
    radial = np.repeat(np.repeat([[8.0, 2.0], [2.0, 1.0]], 3, axis=0), 3, axis=1)
    return radial * ((f * weights[:, None]) @ f.transpose(0, 2, 1))
