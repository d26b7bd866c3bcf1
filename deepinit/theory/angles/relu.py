"""One ReLU layer's action on the angle of two inputs, to first order in 1/width.

One neuron's preactivations (G, H): unit variance, angle theta. a = phi(G), b = phi(H), C = 2 J_11
the cosine at infinite width, q = a^2 + b^2 - 2 C a b and e = 1 - C^2 = E q:

    T = Var(q) / 2,   U = Cov(q, a^2 + b^2) / 2,   J_22 + 1 = Var(a^2 + b^2) / 2,
    R = T / e^2,      S = U / e.

Up to pi/2, without cancellation (each term is divided by its power of theta), c, s = cos, sin
theta, C = c + g,

    g = (1/pi) int_0^theta t sin t dt,   K = int_0^theta sin^4 t dt,
    I_1 = ((pi - theta) c + s) / 2,      I_2 = ((pi - theta)(2 c^2 + 1) + 3 s c) / 8,
    e        = s^2 - 2 c g - g^2
    E q^2    = (4/pi) [s^4 (pi - theta) - 4 s^2 g I_1 + 4 g^2 I_2 + 2 K],     T = (E q^2 - e^2) / 2
    2 U + e  = (4/pi) [s^2 (s^2 (pi - theta) + 2 c I_1) - 2 g (s^2 I_1 + 2 c I_2) + 2 K].

Above pi/2, in the small C, J_22 and J_31,

    4 (1 - R) = -4 [J_22 (1 + 2 C^2) + 3 C^2 - 3 C^4 / 2 - 4 C J_31] / e^2
    8 (J_22 + 1 + R - 2 S) = 8 C^2 [J_22 (2 + C^2) + 3 C^2 / 2 - 4 C J_31] / e^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.array_api import array_namespace
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.typing import Float, Like
from deepinit.theory.angles.mixed_moments import mixed_moment

_NODES, _WEIGHTS = unit_rule(16)  # exact to float64 rounding for sin^4 on [0, pi]


class ReluLayer(NamedTuple):
    """One ReLU layer; fields of theta's shape and dtype.

    log_mean: ln e, ln sin^2 at infinite width; c1, d1: coefficients of 1/n in mean and variance of
    ln sin^2; ratio_t, ratio_u, j22: R, S and J_22.
    """

    log_mean: Float[Like, "*shape"]
    c1: Float[Like, "*shape"]
    d1: Float[Like, "*shape"]
    ratio_t: Float[Like, "*shape"]
    ratio_u: Float[Like, "*shape"]
    j22: Float[Like, "*shape"]


def relu_layer(theta: Float[Like, "*shape"]) -> ReluLayer:
    """Coefficients of the first-order ReLU laws; at 0 log_mean = -inf, else limits.

    Absolute error a few roundings; c1, d1, j22 have small relative error up to pi - 0.01.
    """
    xp = array_namespace(theta)
    # Each branch gets only angles of its range: gradients stay finite where it is not taken.
    is_acute, right_angle = theta < 0.5 * math.pi, xp.full_like(theta, 0.5 * math.pi)
    acute = _acute(xp, xp.where(is_acute, theta, right_angle))
    obtuse = _obtuse(xp, xp.where(is_acute, right_angle, theta))
    return ReluLayer(
        *(xp.where(is_acute, small, large) for small, large in zip(acute, obtuse, strict=True))
    )


def next_angle(theta: Float[Like, "*shape"]) -> Float[Like, "*shape"]:
    """Angle after one ReLU layer of infinite width, to relative accuracy.

    cos(theta') = (sin(theta) + (pi - theta) cos(theta)) / pi.
    """
    xp = array_namespace(theta)
    _, g3, _, e2 = _scaled(xp, theta)
    return xp.arctan2(theta * xp.sqrt(e2), xp.cos(theta) + theta**3 * g3)


def _scaled(xp: Any, theta: Any) -> tuple[Any, Any, Any, Any]:
    """sin(theta) / theta, g / theta^3, K / theta^5 and e / theta^2."""
    nodes = xp.asarray(_NODES, dtype=theta.dtype)
    weights = xp.asarray(_WEIGHTS, dtype=theta.dtype)
    sinc = xp.sinc(theta[..., None] * nodes / math.pi)
    g3 = (weights * nodes**2 * sinc).sum(-1) / math.pi
    k5 = (weights * (nodes * sinc) ** 4).sum(-1)
    s1 = xp.sinc(theta / math.pi)
    e2 = s1**2 - theta * g3 * (2.0 * xp.cos(theta) + theta**3 * g3)
    return s1, g3, k5, e2


def _acute(xp: Any, theta: Any) -> ReluLayer:
    s1, g3, k5, e2 = _scaled(xp, theta)
    c, s, opening = xp.cos(theta), xp.sin(theta), math.pi - theta
    i1 = (opening * c + s) / 2
    i2 = (opening * (2 * c**2 + 1) + 3 * s * c) / 8
    eq2 = (4 / math.pi) * (
        s1**4 * opening + 2 * theta * (k5 - 2 * s1**2 * g3 * i1 + 2 * theta * g3**2 * i2)
    )
    t4 = (eq2 - e2**2) / 2
    u2 = (4 / math.pi) * (
        s1**2 * (s**2 * opening + 2 * c * i1)
        - 2 * theta * (g3 * (s**2 * i1 + 2 * c * i2) - theta**2 * k5)
    )
    ratio_t, ratio_u, j22 = t4 / e2**2, (u2 - e2) / (2 * e2), 4 * i2 / math.pi
    with np.errstate(divide="ignore"):  # theta = 0
        log_mean = 2 * xp.log(theta) + xp.log(e2)
    return ReluLayer(
        log_mean, 4 * (1 - ratio_t), 8 * (j22 + 1 + ratio_t - 2 * ratio_u), ratio_t, ratio_u, j22
    )


def _obtuse(xp: Any, theta: Any) -> ReluLayer:
    cosine = 2.0 * mixed_moment(1, 1, theta)
    j22, j31 = mixed_moment(2, 2, theta), mixed_moment(3, 1, theta)
    square = cosine**2
    e = 1 - square
    excess_t = j22 * (1 + 2 * square) + 3 * square - 1.5 * square**2 - 4 * cosine * j31  # T - e^2
    excess_u = j22 + 1.5 * square - 2 * cosine * j31  # U - e
    d1 = 8 * square * (j22 * (2 + square) + 1.5 * square - 4 * cosine * j31) / e**2
    return ReluLayer(
        xp.log1p(-square), -4 * excess_t / e**2, d1, 1 + excess_t / e**2, 1 + excess_u / e, j22
    )
