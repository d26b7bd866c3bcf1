"""E psi(x) psi(y) and E psi'(x) psi'(y) of a Gaussian pair.

Positively homogeneous psi (slopes l, r), means 0, theta = arccos(rho):

    E psi psi = sqrt(V_x V_y) [(l^2 + r^2) k(theta) - 2 l r k(pi - theta)],
    E psi' psi' = (l^2 + r^2) (pi - theta) / (2 pi) + 2 l r theta / (2 pi),
    k(theta) = (sin theta + (pi - theta) cos theta) / (2 pi).

erf, means 0: (2/pi) arcsin(2 C / sqrt((1 + 2 V_x)(1 + 2 V_y))), (4/pi) / sqrt((1 + 2 V_x)(1 + 2
V_y) - 4 C^2). Others by quadrature: trapezoidal in x, and in y given x (smooth psi) or
Gauss-Legendre between kinks.
"""

import math

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.gauss_legendre import normal_panels
from deepinit.core.gaussian import derivatives, normal_rule, values

_RANGE = 9.0  # the normal density outside weighs 2e-19
_KINKED_NODES = 60


def product_means(
    psi: Activation, mean: np.ndarray, covariance: np.ndarray, *, slopes: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """E psi(x_i) psi(x_j) and E psi'(x_i) psi'(x_j), x ~ N(mean, covariance).

    Degenerate pairs are allowed. Without `slopes` the second is 0, or a closed form. Error about
    1e-12 for closed forms, and for psi as smooth as tanh at standard deviations up to 8; with kinks
    about 1e-9, more where the correlation is within 1e-6 of 1 but not 1.
    """
    variances = np.diag(covariance)
    roots = np.sqrt(np.outer(variances, variances))
    if psi.slopes is not None and psi.slopes[0] == psi.slopes[1]:
        slope = psi.slopes[0] ** 2
        return slope * (covariance + np.outer(mean, mean)), np.full(covariance.shape, slope)
    if psi.slopes is not None and not mean.any():
        return _homogeneous(psi.slopes, covariance, roots)
    if psi.name == "erf" and not mean.any():
        scale = np.outer(1.0 + 2.0 * variances, 1.0 + 2.0 * variances)
        ratio = np.clip(2.0 * covariance / np.sqrt(scale), -1.0, 1.0)
        slope_products = (4.0 / math.pi) / np.sqrt(scale - 4.0 * covariance**2)
        return (2.0 / math.pi) * np.arcsin(ratio), slope_products
    return _by_quadrature(psi, mean, covariance, slopes)


def _homogeneous(
    slopes: tuple[float, float], covariance: np.ndarray, roots: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    left, right = slopes
    rho = np.divide(covariance, roots, out=np.zeros_like(roots), where=roots > 0.0)
    theta = np.arccos(np.clip(rho, -1.0, 1.0))
    np.fill_diagonal(theta, 0.0)

    def half_kernel(angle: np.ndarray) -> np.ndarray:
        return (np.sin(angle) + (math.pi - angle) * np.cos(angle)) / (2.0 * math.pi)

    even, cross = left**2 + right**2, 2.0 * left * right
    products = roots * (even * half_kernel(theta) - cross * half_kernel(math.pi - theta))
    return products, (even * (math.pi - theta) + cross * theta) / (2.0 * math.pi)


def _by_quadrature(
    psi: Activation, mean: np.ndarray, covariance: np.ndarray, slopes: bool
) -> tuple[np.ndarray, np.ndarray]:
    size = len(mean)
    products, slope_products = np.zeros((size, size)), np.zeros((size, size))
    for i in range(size):
        for j in range(i + 1):
            block = covariance[np.ix_([i, j], [i, j])]
            x, y, weights = _pair_rule(psi.kinks, (mean[i], mean[j]), block)
            product = np.sum(weights * values(psi, x)[:, None] * values(psi, y))
            products[i, j] = products[j, i] = product
            if slopes:
                slope = np.sum(weights * derivatives(psi, x)[:, None] * derivatives(psi, y))
                slope_products[i, j] = slope_products[j, i] = slope
    return products, slope_products


def _pair_rule(
    kinks: tuple[float, ...], means: tuple[float, float], covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x [n], y [n, m] and weights [n, m] of a Gaussian pair."""
    std_x, std_y = math.sqrt(max(covariance[0, 0], 0.0)), math.sqrt(max(covariance[1, 1], 0.0))
    tilt = covariance[0, 1] / std_x if std_x > 0.0 else 0.0  # of y on the normal of x
    tilt = min(max(tilt, -std_y), std_y)
    rest = math.sqrt(max((std_y - tilt) * (std_y + tilt), 0.0))
    rest = 0.0 if rest < 1e-8 * std_y else rest
    if not kinks:
        nodes, mass = normal_rule(num_nodes=_smooth_nodes(max(std_x, abs(tilt))))
        others, other_mass = np.zeros(1), np.ones(1)
        if rest:
            others, other_mass = normal_rule(num_nodes=_smooth_nodes(rest))
        y = means[1] + tilt * nodes[:, None] + rest * others
        return means[0] + std_x * nodes, y, np.outer(mass, other_mass)
    crossings = [(kink - means[0]) / std_x for kink in kinks if std_x > 0.0]
    crossings += [(kink - means[1]) / tilt for kink in kinks if tilt != 0.0]
    nodes, mass = normal_rule(tuple(crossings), _KINKED_NODES if crossings else 241)
    centre = means[1] + tilt * nodes
    if not rest:
        return means[0] + std_x * nodes, centre[:, None], mass[:, None]
    breaks = np.clip((np.array(sorted(kinks))[None, :] - centre[:, None]) / rest, -_RANGE, _RANGE)
    ends = np.full((len(nodes), 1), _RANGE)
    edges = np.concatenate([-ends, breaks, ends], axis=1)
    inner, weights = normal_panels(edges, 40)
    return means[0] + std_x * nodes, centre[:, None] + rest * inner, mass[:, None] * weights


def _smooth_nodes(std: float) -> int:
    """Spacing in proportion to pi / (2 std), the distance of tanh's poles, up to std 8."""
    return 120 * min(8, max(1, math.ceil(std))) + 1
