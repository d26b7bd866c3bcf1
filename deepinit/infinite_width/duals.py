r"""Gaussian expectations of an activation at one point and at a pair of points, in JAX, accurate at every angle.

For preactivations (u, v), centred Gaussian with variances q_1, q_2 and correlation cos(theta), the functions give the
same description of the pair (phi(u), phi(v)): second moments, their difference, and the half angle theta', each to
relative accuracy also where it is tiny.

Homogeneous activations, slopes (left, right), with p = (left^2 + right^2)/2 and r = (right - left)^2/(2 pi). The
arc-cosine formula E[phi(u) phi(v)] = sqrt(q_1 q_2) [p cos(theta) + r (sin(theta) - theta cos(theta))] gives

    1 - cos(theta') = 2 sin^2(theta/2) - (r/p) g(theta),    g(theta) = int_0^theta t sin(t) dt,

and E[phi'(u) phi'(v)] = p - r theta. For theta near pi the same is expanded about psi = pi - theta:
p (1 - cos(theta')) = (left + right)^2/2 - 2 left right sin^2(psi/2) - r g(psi). No arccos of a number near 1 is taken.

Other activations, by quadrature over independent normals z_1, z_2 with u = sqrt(q_1) z_1 and v - u built from the
displacement: delta = phi(v) - phi(u) comes from `Activation.difference`, and sin^2(theta') = E[rho^2] / E[phi(v)^2] with the
Gram-Schmidt residual rho = delta - phi(u) E[phi(u) delta] / E[phi(u)^2], subtracted node by node so that nothing cancels.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.infinite_width.attached import attach

# Smooth activations: the trapezoidal rule in t with z = center + scale * sinh(t), which puts nodes at the scale 1 of the
# preactivation (where tanh, GELU, ... bend) as well as at the scale of its standard deviation. The integrand is analytic
# for |Im t| < pi/4, so that the error is exp(-pi^2/(2 h)) at spacing h: below 1e-13 for h < 0.16, which holds up to a
# standard deviation of 1000; beyond that the bend is a kink to the rule (error below 1e-7).
_RANGE = 9.0  # the normal density integrates to 1 - 2e-19 on [-9, 9]
_FINEST_SCALE = 1e-3
_NUM_NODES = 129
# Activations with kinks: Gauss-Legendre on the pieces between the kinks.
_LEGENDRE_NODES, _LEGENDRE_WEIGHTS = np.polynomial.legendre.leggauss(64)
# sin(t) - t cos(t) = t^3 sum_k a_k t^(2k): to float64 rounding for t < 1
_ARC_SERIES = [(-1) ** k * (2 * k + 2) / math.factorial(2 * k + 3) for k in range(10)]


class HalfAngle(NamedTuple):
    """sin^2(theta/2) and cos^2(theta/2), each to relative accuracy: any angle from 1e-150 to pi - 1e-150."""

    sin2: jax.Array
    cos2: jax.Array

    @property
    def log_sin2(self) -> jax.Array:
        """ln sin^2(theta)."""
        return jnp.log(4.0) + jnp.log(self.sin2) + jnp.log(self.cos2)


class PairMoments(NamedTuple):
    """What one nonlinearity makes of a pair.

    Attributes:
        growth: E[phi(v)^2] - E[phi(u)^2].
        angle: of phi(u) and phi(v) as vectors in L^2.
        derivative: E[phi'(u) phi'(v)].
    """

    growth: jax.Array
    angle: HalfAngle
    derivative: jax.Array


def point_moments(activation: Activation, variance: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(E[phi(u)^2], E[phi'(u)^2]) for u ~ N(0, variance), elementwise in `variance`."""
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


def point_rule(kinks: tuple[Any, ...], std: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes z and weights [nodes] for expectations over z ~ N(0, 1) of functions of phi and phi' at u = std z, phi with these kinks."""
    return _outer_rule(kinks, std, std, 0.0, 1.0)


def pair_moments(
    activation: Activation, first: jax.Array, second: jax.Array, growth: jax.Array, angle: HalfAngle
) -> PairMoments:
    """The pair (phi(u), phi(v)); all arguments [pairs].

    Args:
        activation: phi.
        first: variance q_1 of u.
        second: variance q_2 of v.
        growth: q_2 - q_1, to relative accuracy.
        angle: between u and v.
    """
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


def root(x: jax.Array) -> jax.Array:
    """sqrt(x), with the derivative 0 at 0: the symmetric one of a norm at a zero row."""
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 1.0)), 0.0)


def sine(angle: HalfAngle) -> jax.Array:
    """sin(theta), 0 for rows that are collinear to rounding, where its derivative is 0 too."""
    is_sharp, product = _sharp(*angle)
    return jnp.where(is_sharp, 2.0 * jnp.sqrt(product), 0.0)


def theta(sin2: jax.Array, cos2: jax.Array) -> jax.Array:
    """The angle, to relative accuracy at 0; pi/2 with a zero row (sin2 = cos2 = 0).

    At 0 and pi it has a kink in the rows, with slopes of both signs: the derivative there is their mean, 0.
    """
    small = 2.0 * jnp.arctan2(jnp.sqrt(jnp.minimum(sin2, cos2)), jnp.sqrt(jnp.maximum(sin2, cos2)))
    value = jnp.where(sin2 + cos2 > 0, jnp.where(sin2 <= cos2, small, np.pi - small), 0.5 * np.pi)
    return attach(_theta_changes, None, (value,), (sin2, cos2))[0]


def _theta_changes(_: None, variables, changes) -> tuple[jax.Array]:
    (sin2, cos2), (sin2_change, cos2_change) = variables, changes
    is_sharp, product = _sharp(sin2, cos2)
    slope = jnp.where(is_sharp, 1.0 / jnp.sqrt(product), 0.0)
    return (slope * (cos2 * sin2_change - sin2 * cos2_change),)


def _sharp(sin2: jax.Array, cos2: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Is the angle more than a few roundings from 0 and pi; and sin2 * cos2, or 1 where it is not."""
    is_sharp = sin2 * cos2 > (4.0 * jnp.finfo(sin2.dtype).eps) ** 2
    return is_sharp, jnp.where(is_sharp, sin2 * cos2, 1.0)


def _arc(near: jax.Array, far: jax.Array) -> jax.Array:
    """g(t) = sin(t) - t cos(t) of t in [0, pi/2] with near = sin^2(t/2), far = cos^2(t/2); dg = t sin(t) dt."""
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
    """x -> (phi(x), phi'(x), ..., phi^(order)(x)), between the kinks."""
    if order == 0:
        return lambda x: (activation(x),)
    if order == 1:
        return lambda x: (activation(x), activation.derivative(x))
    lower = derivatives_up_to(activation, order - 1)

    def stacked(x):
        found, slopes = jax.jvp(lower, (x,), (jnp.ones_like(x),))
        return (*found, slopes[-1])

    return stacked


class PairRule(NamedTuple):
    """Nodes for expectations over independent normals z_1, z_2 of functions of a pair (u, v): [nodes, nodes], or [nodes, 1].

    u = sqrt(q_1) z_1 and v = u + step = sqrt(q_2) (cos(theta) z_1 + sin(theta) z_2).
    """

    weights: jax.Array
    z_1: jax.Array
    z_2: jax.Array
    u: jax.Array
    step: jax.Array


def pair_rule(kinks: tuple[Any, ...], first, second, growth, angle: HalfAngle) -> PairRule:
    """The quadrature of one pair for functions with these kinks; other arguments as in `pair_moments`, but scalars."""
    std_1, std_2 = root(first), root(second)
    sum_of_stds = std_1 + std_2
    std_growth = growth / jnp.where(sum_of_stds > 0, sum_of_stds, 1.0)
    sine, cosine = 2.0 * root(angle.sin2 * angle.cos2), angle.cos2 - angle.sin2
    z_1, weights_1 = _outer_rule(kinks, std_1, std_2, sine, cosine)
    z_2, weights_2 = _inner_rule(kinks, std_2, sine, cosine, z_1)
    weights = weights_1[:, None] * weights_2
    step = ((std_growth - 2.0 * std_2 * angle.sin2) * z_1)[:, None] + std_2 * sine * z_2
    return PairRule(weights, z_1[:, None], z_2, (std_1 * z_1)[:, None], step)


def _by_quadrature(activation: Activation, first, second, growth, angle: HalfAngle) -> PairMoments:
    weights, _, _, u, step = pair_rule(activation.kinks, first, second, growth, angle)
    phi_u, delta = activation(u), activation.difference(u, step)
    phi_v = phi_u + delta

    square_u, square_v = jnp.sum(weights * phi_u**2), jnp.sum(weights * phi_v**2)
    overlap = jnp.sum(weights * phi_u * delta)
    residual = delta - (overlap / jnp.where(square_u > 0, square_u, 1.0)) * phi_u
    sin2 = jnp.sum(weights * residual**2) / jnp.where(square_v > 0, square_v, 1.0)
    norms = root(square_u) * root(square_v)  # a product of squares would overflow at half the range
    cosine_out = (square_u + overlap) / jnp.where(norms > 0, norms, 1.0)
    derivative = jnp.sum(weights * activation.derivative(u) * activation.derivative(u + step))
    return PairMoments(
        jnp.sum(weights * delta * (phi_u + phi_v)), _half_angle(sin2, cosine_out), derivative
    )


def _half_angle(sin2: jax.Array, cosine: jax.Array) -> HalfAngle:
    """The half angle from sin^2 where that is the small one, from the cosine where the angle is near pi/2."""
    small = jnp.where(
        sin2 < 0.5,
        0.5 * sin2 / (1.0 + jnp.sqrt(1.0 - jnp.minimum(sin2, 0.5))),
        0.5 * (1.0 - jnp.abs(cosine)),
    )
    return HalfAngle(
        jnp.where(cosine > 0, small, 1.0 - small), jnp.where(cosine > 0, 1.0 - small, small)
    )


def _outer_rule(kinks: tuple[Any, ...], std_1, std_2, sine, cosine) -> tuple[jax.Array, jax.Array]:
    """Nodes and weights for z_1: sum(weights * f(nodes)) = E f(z_1)."""
    if not kinks:
        return _sinh_rule(jnp.zeros(()), _finest_scale(jnp.maximum(std_1, std_2)))
    # Where u has its kinks, and where those of v begin and cease to be in reach of z_2.
    reach = _RANGE * sine
    breaks = [quotient(kink, std_1) for kink in kinks]
    breaks += [
        quotient(quotient(kink, std_2) + sign * reach, cosine)
        for kink in kinks
        for sign in (-1.0, 1.0)
    ]
    return piecewise_rule(jnp.stack(breaks))


def _inner_rule(kinks: tuple[Any, ...], std, sine, cosine, z_1) -> tuple[jax.Array, jax.Array]:
    """For every z_1, nodes and weights for z_2 in v = std (cosine z_1 + sine z_2): both [nodes of z_1, nodes of z_2]."""
    if not kinks:
        spread = std * sine
        center = jnp.where(
            spread > 1.0, jnp.clip(quotient(-cosine * z_1, sine), -_RANGE, _RANGE), 0.0
        )
        return jax.vmap(_sinh_rule, in_axes=(0, None))(center, _finest_scale(spread))
    breaks = [quotient(quotient(kink, std) - cosine * z_1, sine) for kink in kinks]
    return jax.vmap(piecewise_rule)(jnp.stack(breaks, axis=-1))


def smooth_rule(std: jax.Array, doubled: bool = False) -> tuple[jax.Array, jax.Array]:
    """`point_rule` of smooth activations, or the same with twice the nodes."""
    return _sinh_rule(
        jnp.zeros(()), _finest_scale(std), 2 * _NUM_NODES - 1 if doubled else _NUM_NODES
    )


def _sinh_rule(center, scale, num_nodes: int = _NUM_NODES) -> tuple[jax.Array, jax.Array]:
    start, stop = jnp.arcsinh((-_RANGE - center) / scale), jnp.arcsinh((_RANGE - center) / scale)
    spacing = (stop - start) / (num_nodes - 1)
    t = start + spacing * jnp.arange(num_nodes)
    nodes = center + scale * jnp.sinh(t)
    return nodes, spacing * scale * jnp.cosh(t) * _normal_density(nodes)


def piecewise_rule(breaks) -> tuple[jax.Array, jax.Array]:
    """Nodes and weights for expectations over z ~ N(0, 1): Gauss-Legendre between the breaks; one outside the range leaves an empty piece."""
    inside = jnp.sort(jnp.clip(breaks, -_RANGE, _RANGE))
    edges = jnp.concatenate([jnp.full((1,), -_RANGE), inside, jnp.full((1,), _RANGE)])
    half, middle = 0.5 * jnp.diff(edges), 0.5 * (edges[1:] + edges[:-1])
    nodes = (middle[:, None] + half[:, None] * _LEGENDRE_NODES).ravel()
    return nodes, (half[:, None] * _LEGENDRE_WEIGHTS).ravel() * _normal_density(nodes)


def _finest_scale(std) -> jax.Array:
    return jnp.clip(1.0 / jnp.maximum(std, 1e-300), _FINEST_SCALE, 1.0)


def quotient(numerator, denominator) -> jax.Array:
    """numerator / denominator with a zero denominator moved to 1e-300: outside the range, as a break has to be."""
    return numerator / jnp.where(jnp.abs(denominator) > 1e-300, denominator, 1e-300)


def _normal_density(z) -> jax.Array:
    return jnp.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
