"""Variance of the length of the unit circle's image, order 1/width, ReLU, no bias.

theta_l(D): infinite-width angle of layer-l features of two points at angle D; theta_0 = D,

    cos theta_{l+1} = (sin theta + (pi - theta) cos theta) / pi,
    d theta_{l+1} / d theta = (pi - theta) sin theta / (pi sin theta_{l+1}).

Preactivations z, z' have covariance cos theta(D), derivatives along the circle minus its
derivatives. t: angle from the edge z = 0 of the sector z, z' > 0; w = theta' cos t, w' = -theta'
cos(pi - theta - t), v = 1 - theta'^2, r = sin(theta) theta'',

    M_l(D) = E[1{z>0} 1{z'>0} zdot^2 zdot'^2]
           = int_0^{pi-theta} [8 w^2 w'^2 + 2 v (w^2 + w'^2) + v^2 + 8 r w w' + 2 r^2] dt / (2 pi),

and a layer of n units adds (1 / 4n) mean_D(4 M - 1) to Var(length) / E(length)^2. theta is
analytic in D: Gauss-Legendre.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.theory.numerics.homogeneous_layers import network_widths

_NUM_NODES = 240  # in D; the first layers need 40


class _Angles(NamedTuple):
    """theta, theta' and theta'' in D, on the nodes."""

    theta: np.ndarray
    first: np.ndarray
    second: np.ndarray


def circle_relative_variance(depth: int) -> float:
    """V_l = lim n Var(len_l) / E(len_l)^2 of the circle after l ReLU layers of width n.

    V_l = (1/4) sum_{i<=l} mean_D(4 M_i(D) - 1), M in the module docstring; V_1 = 1/4,
    V_2 = 0.437218. Quadrature error 1e-10. Valid for: leading order in 1/width
    (about 10 % off at width 100, depth 4); any weight variance, circle about the origin, no bias.
    """
    return float(np.sum(_layer_terms(validate.integer("depth", depth, 1))))


def circle_relative_variances_by_layer(
    widths: Real[Array, "layers"] | Plain,
) -> Float[np.ndarray, "layers"]:
    """Var(len_l) / E(len_l)^2 of the circle after every hidden layer l, order 1/width, ReLU.

    sum_{i<=l} (V_i - V_{i-1}) / n_i, V_l = `circle_relative_variance`, with its range, V_0 = 0.
    """
    sizes = network_widths(widths, least=1)
    return np.cumsum(np.asarray(_layer_terms(len(sizes))) / np.asarray(sizes))


def circle_output_relative_variance(depth: int, output_width: int) -> float:
    """Var(len) / E(len)^2 of the circle at a linear output, infinite ReLU layers, no bias.

    mean_D 2F1(-1/2, -1/2; n_L/2; rho(D)^2) - 1, rho(D) = -(d/dD)^2 cos theta_H(D), H = depth >= 0.
    Quadrature error 1e-9. Width n adds O(1/n), `circle_relative_variance` / n and the fluctuation
    of rho.
    """
    validate.integer("depth", depth)
    validate.integer("output_width", output_width, 1)
    angles = _circle()
    for _ in range(depth):
        angles = _next(angles)
    rho = np.cos(angles.theta) * angles.first**2 + np.sin(angles.theta) * angles.second
    excess = _output_excess(output_width, np.clip(rho, -1.0, 1.0) ** 2)
    return float(unit_rule(_NUM_NODES)[1] @ excess)


@lru_cache(maxsize=32)
def _layer_terms(depth: int) -> tuple[float, ...]:
    """mean_D(4 M_i - 1) / 4 of every layer."""
    weights = unit_rule(_NUM_NODES)[1]
    terms, angles = [], _circle()
    for _ in range(depth):
        terms.append(0.25 * float(weights @ (4.0 * _speed_moment(angles) - 1.0)))
        angles = _next(angles)
    return tuple(terms)


def _circle() -> _Angles:
    distance = math.pi * unit_rule(_NUM_NODES)[0]
    return _Angles(distance, np.ones_like(distance), np.zeros_like(distance))


def _next(angles: _Angles) -> _Angles:
    """The arc-cosine map and its first two derivatives."""
    theta, first, second = angles
    sine, opening = np.sin(theta), math.pi - theta
    # sin^2 of half the new angle, without the cancellation of 1 - cos at small angles.
    half_sine2 = np.sin(0.5 * theta) ** 2 - (sine - theta * np.cos(theta)) / (2.0 * math.pi)
    image = 2.0 * np.arcsin(np.sqrt(half_sine2))
    slope = opening * sine / (math.pi * np.sin(image))
    second_cosine = (opening * np.cos(theta) - sine) / math.pi
    curvature = (second_cosine - slope**2 * np.cos(image)) / np.sin(image)
    return _Angles(image, slope * first, slope * second + curvature * first**2)


def _speed_moment(angles: _Angles) -> np.ndarray:
    """M(D), by Gauss-Legendre over the sector."""
    # 24 nodes: trigonometric polynomials of degree 4 on at most half a turn
    nodes, weights = unit_rule(24)
    theta, first, second = (values[:, None] for values in angles)
    opening = math.pi - theta
    along, other = first * np.cos(opening * nodes), -first * np.cos(opening * (1.0 - nodes))
    variance, covariance = 1.0 - first**2, np.sin(theta) * second
    integrand = (
        8.0 * (along * other) ** 2
        + 2.0 * variance * (along**2 + other**2)
        + variance**2
        + 8.0 * covariance * along * other
        + 2.0 * covariance**2
    )
    return opening[:, 0] * (integrand @ weights) / (2.0 * math.pi)


def _output_excess(output_width: int, rho2: np.ndarray) -> np.ndarray:
    """2F1(-1/2, -1/2; n_L/2; rho^2) - 1."""
    from scipy.special import hyp2f1

    c = 0.5 * output_width
    if c < 10.0:
        return hyp2f1(-0.5, -0.5, c, rho2) - 1.0
    # SciPy's function overflows at large c, where the series needs few terms: 60 at c = 10.
    term, total = np.ones_like(rho2), np.zeros_like(rho2)
    for k in range(60):
        term = term * (k - 0.5) ** 2 / ((c + k) * (k + 1)) * rho2
        total += term
    return total
