"""Gaussian expectations of an activation at points and pairs, in JAX.

(u, v) ~ N(0, .), variances q_1, q_2, correlation cos(theta): second moments of (phi(u), phi(v)),
their difference, and the half angle theta', to relative accuracy.

Homogeneous, slopes (left, right), p = (left^2 + right^2)/2, r = (right - left)^2/(2 pi):
    E[phi(u) phi(v)] = sqrt(q_1 q_2) [p cos(theta) + r (sin(theta) - theta cos(theta))],
    E[phi'(u) phi'(v)] = p - r theta,
    1 - cos(theta') = 2 sin^2(theta/2) - (r/p) g(theta),    g(theta) = int_0^theta t sin(t) dt;
near pi, psi = pi - theta:
    p (1 - cos(theta')) = (left + right)^2/2 - 2 left right sin^2(psi/2) - r g(psi).
Others: quadrature of sin^2(theta') = E[rho^2] / E[phi(v)^2], rho = delta - phi(u)
E[phi(u) delta] / E[phi(u)^2] at every node, delta = phi(v) - phi(u) by `Activation.difference`.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.typing import Like
from deepinit.infinite_width.attached import attach
from deepinit.infinite_width.quadrature import pair_rule, point_rule, root

# sin(t) - t cos(t) = t^3 sum_k a_k t^(2k): to float64 rounding for t < 1
_ARC_SERIES = [(-1) ** k * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(10)]


class HalfAngle(NamedTuple):
    """sin^2(theta/2) and cos^2(theta/2), to relative accuracy from 1e-150 to pi - 1e-150."""

    sin2: Like
    cos2: Like

    @property
    def log_sin2(self) -> jax.Array:
        """ln sin^2(theta)."""
        return jnp.log(4.0) + jnp.log(self.sin2) + jnp.log(self.cos2)


class PairMoments(NamedTuple):
    """A pair after a nonlinearity.

    `growth`: E[phi(v)^2] - E[phi(u)^2]. `angle`: of phi(u) and phi(v) in L^2. `derivative`:
    E[phi'(u) phi'(v)].
    """

    growth: jax.Array
    angle: HalfAngle
    derivative: jax.Array


def point_moments(activation: Activation, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """E[phi(u)^2] and E[phi'(u)^2] for u ~ N(0, variance), elementwise."""
    if activation.slopes is not None:
        mean_square = 0.5 * sum(slope**2 for slope in activation.slopes)
        return mean_square * variance, jnp.full_like(variance, mean_square)

    def at(q):
        std = root(q)
        nodes, weights = point_rule(activation.kinks, std)
        u = std * nodes
        return jnp.sum(weights * activation(u) ** 2), jnp.sum(
            weights * activation.derivative(u) ** 2
        )

    return jax.vmap(at)(variance)


def pair_moments(
    activation: Activation, first: jax.Array, second: jax.Array, growth: jax.Array, angle: HalfAngle
) -> PairMoments:
    """Moments of (phi(u), phi(v)); growth = second - first variance, to relative accuracy."""
    if activation.slopes is not None:
        return _homogeneous(activation.slopes, growth, angle)

    def at(arguments):
        return _by_quadrature(activation, *arguments)

    return jax.lax.map(at, (first, second, growth, angle))


def _homogeneous(slopes: tuple[float, float], growth: jax.Array, angle: HalfAngle) -> PairMoments:
    left, right = slopes
    p, r = 0.5 * (left**2 + right**2), bend(slopes)
    acute = angle.sin2 <= angle.cos2
    near, far = jnp.where(acute, angle.sin2, angle.cos2), jnp.where(acute, angle.cos2, angle.sin2)
    arc = r * _arc(near, far)
    minus = jnp.where(
        acute,
        2 * p * angle.sin2 - arc,
        0.5 * (left + right) ** 2 - 2 * left * right * angle.cos2 - arc,
    )
    plus = jnp.where(
        acute,
        2 * p * angle.cos2 + arc,
        0.5 * (left - right) ** 2 + 2 * left * right * angle.cos2 + arc,
    )
    return PairMoments(
        p * growth, HalfAngle(minus / (2 * p), plus / (2 * p)), p - r * theta(*angle)
    )


def bend(slopes: tuple[float, float]) -> float:
    """r = (right - left)^2 / (2 pi)."""
    return (slopes[1] - slopes[0]) ** 2 / (2.0 * np.pi)


def sine(angle: HalfAngle) -> jax.Array:
    """sin(theta); value and derivative 0 for collinear rows."""
    is_sharp, product = _sharp(*angle)
    return jnp.where(is_sharp, 2.0 * jnp.sqrt(product), 0.0)


def theta(sin2: jax.Array, cos2: jax.Array) -> jax.Array:
    """The angle, to relative accuracy at 0; pi/2 with a zero row. Derivative 0 at 0 and pi."""
    small = 2.0 * jnp.arctan2(jnp.sqrt(jnp.minimum(sin2, cos2)), jnp.sqrt(jnp.maximum(sin2, cos2)))
    value = jnp.where(sin2 + cos2 > 0, jnp.where(sin2 <= cos2, small, np.pi - small), 0.5 * np.pi)
    return attach(_theta_changes, None, (value,), (sin2, cos2))[0]


def _theta_changes(_: None, variables, changes) -> tuple[jax.Array]:
    (sin2, cos2), (sin2_change, cos2_change) = variables, changes
    is_sharp, product = _sharp(sin2, cos2)
    slope = jnp.where(is_sharp, 1.0 / jnp.sqrt(product), 0.0)
    return (slope * (cos2 * sin2_change - sin2 * cos2_change),)


def _sharp(sin2: jax.Array, cos2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Whether theta is neither 0 nor pi to rounding; sin2 * cos2, else 1."""
    is_sharp = sin2 * cos2 > (4.0 * jnp.finfo(sin2.dtype).eps) ** 2
    return is_sharp, jnp.where(is_sharp, sin2 * cos2, 1.0)


def _arc(near: jax.Array, far: jax.Array) -> jax.Array:
    """g(t), t in [0, pi/2], near = sin^2(t/2), far = cos^2(t/2); dg = t sin(t) dt."""
    t, square = 2.0 * jnp.arctan2(jnp.sqrt(near), jnp.sqrt(far)), 4.0 * near * far
    series = jnp.zeros_like(t)
    for k in range(len(_ARC_SERIES) - 1, -1, -1):
        series = series * t**2 + _ARC_SERIES[k]
    value = jnp.where(t < 1.0, t**3 * series, jnp.sqrt(square) - t * (far - near))
    return attach(_arc_changes, None, (value,), (near, far))[0]


def _arc_changes(_: None, variables, changes) -> tuple[jax.Array]:
    (near, far), (near_change, far_change) = variables, changes
    return (2.0 * theta(near, far) * (far * near_change - near * far_change),)


def derivatives_up_to(activation: Activation, order: int) -> Callable[[Any], tuple[Any, ...]]:
    """x -> (phi(x), ..., phi^(order)(x)), between the kinks."""
    if order == 0:
        return lambda x: (activation(x),)
    if order == 1:
        return lambda x: (activation(x), activation.derivative(x))
    lower = derivatives_up_to(activation, order - 1)

    def stacked(x):
        values, derivatives = jax.jvp(lower, (x,), (jnp.ones_like(x),))
        return (*values, derivatives[-1])

    return stacked


def _by_quadrature(activation: Activation, first, second, growth, angle: HalfAngle) -> PairMoments:
    weights, _, _, u, step = pair_rule(activation.kinks, first, second, growth, angle)
    phi_u, delta = activation(u), activation.difference(u, step)
    phi_v = phi_u + delta

    square_u, square_v = jnp.sum(weights * phi_u**2), jnp.sum(weights * phi_v**2)
    overlap = jnp.sum(weights * phi_u * delta)
    residual = delta - (overlap / jnp.where(square_u > 0, square_u, 1.0)) * phi_u
    sin2 = jnp.sum(weights * residual**2) / jnp.where(square_v > 0, square_v, 1.0)
    norms = root(square_u) * root(square_v)  # a product of squares would overflow
    cosine_out = (square_u + overlap) / jnp.where(norms > 0, norms, 1.0)
    derivative = jnp.sum(weights * activation.derivative(u) * activation.derivative(u + step))
    return PairMoments(
        jnp.sum(weights * delta * (phi_u + phi_v)), _half_angle(sin2, cosine_out), derivative
    )


def _half_angle(sin2: jax.Array, cosine: jax.Array) -> HalfAngle:
    """From sin^2 if small, else from the cosine."""
    small = jnp.where(
        sin2 < 0.5,
        0.5 * sin2 / (1.0 + jnp.sqrt(1.0 - jnp.minimum(sin2, 0.5))),
        0.5 * (1.0 - jnp.abs(cosine)),
    )
    return HalfAngle(
        jnp.where(cosine > 0, small, 1.0 - small), jnp.where(cosine > 0, 1.0 - small, small)
    )
