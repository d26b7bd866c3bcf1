"""Covariances of the velocities dz/dt of preactivations along a curve.

For z(t) of kernel K(t, s): Cov(dz_t, dz_s) = C(t, s) = d^2 K / dt ds, Cov(dz_t, z_s) = dK / dt,
Cov(z_t, dz_t) = (1/2) dK(t, t) / dt. An affine layer multiplies by the weight variance.
Nonlinearity, in the frame of independent normals:

    z_t = sqrt(q_t) z_1,                                Cov(dz_t, z_i) = a_i,
    z_s = sqrt(q_s) (cos(theta) z_1 + sin(theta) z_2),  Cov(dz_s, z_i) = b_i,

    C -> E[phi'(z_t) phi'(z_s) (a_1 z_1 + a_2 z_2) (b_1 z_1 + b_2 z_2)]
         + (C - a_1 b_1 - a_2 b_2) E[phi'(z_t) phi'(z_s)],

at t = s: C -> E[phi'(z_t)^2] C + E[phi'(z_t)^2 (z_1^2 - 1)] a_1^2; likewise
dK/dt -> E[phi'(z_t) phi(z_s) dz_t]. Homogeneous phi, p and r as in `duals`:

    C -> (p - r theta) C + r sin(theta) (a_1 A_s + a_2 B_s),
    dK/dt -> (p - r theta) dK/dt + r sin(theta) sqrt(q_s) a_1,    C(t, t) -> p C(t, t),

A_s, B_s the covariances of dz_s with the unit normals along z_s and along the part of z_t
orthogonal to z_s. Quotients by sin(theta) are multiplied by it again: no digits are lost.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.duals import HalfAngle
from deepinit.infinite_width.pairs import Rows, affine, nonlinearity
from deepinit.infinite_width.quadrature import pair_rule, point_rule


class Velocities(NamedTuple):
    """Covariances of the velocities of points and pairs (t, s).

    `point_cross`, `point`: Cov(z_t, dz_t), C(t, t). `first_cross`, `second_cross`, `pair`:
    Cov(dz_t, z_s), Cov(z_t, dz_s), C(t, s).
    """

    point_cross: jax.Array
    point: jax.Array
    first_cross: jax.Array
    second_cross: jax.Array
    pair: jax.Array


class Frame(NamedTuple):
    """Covariances with z_1 (along) and z_2 (across)."""

    along_1: jax.Array
    across_1: jax.Array
    along_2: jax.Array
    across_2: jax.Array


def velocities_of_points(x, tangents, first, second) -> Velocities:
    """Velocities of the inputs, from points and tangents."""

    def gram(a, b):
        return jnp.mean(a * b, axis=1)

    return Velocities(
        gram(x, tangents),
        gram(tangents, tangents),
        gram(tangents[first], x[second]),
        gram(x[first], tangents[second]),
        gram(tangents[first], tangents[second]),
    )


def velocity_scan(
    activation: Activation, rows: Rows, velocities: Velocities, weight_vars, bias_vars
) -> Velocities:
    """Velocities of the last affine layer, from the inputs'; weight_vars times fan_in."""

    def layer(carry, variances):
        rows, velocities = carry
        weight_var, bias_var = variances
        rows, velocities = nonlinear_layer(activation, rows, velocities)
        return (affine(rows, weight_var, bias_var), _scaled(velocities, weight_var)), None

    carry = affine(rows, weight_vars[0], bias_vars[0]), _scaled(velocities, weight_vars[0])
    return jax.lax.scan(layer, carry, (weight_vars[1:], bias_vars[1:]))[0][1]


def nonlinear_layer(
    activation: Activation, rows: Rows, velocities: Velocities
) -> tuple[Rows, Velocities]:
    """Points and velocities of phi(z)."""
    after, point_slope, pair_slope = nonlinearity(activation, rows)
    if activation.slopes is not None:
        return after, _homogeneous(activation.slopes, rows, velocities, point_slope, pair_slope)
    point_cross, point = _points_by_quadrature(activation, rows.variance, velocities, point_slope)
    first_cross, second_cross, pair = _pairs_by_quadrature(activation, rows, velocities, pair_slope)
    return after, Velocities(point_cross, point, first_cross, second_cross, pair)


def frame(rows: Rows, velocities: Velocities) -> Frame:
    """Covariances with z_1 and z_2 (z_s for z_1 where z_t = 0)."""
    std_1, std_2 = jnp.sqrt(rows.variance[rows.first]), jnp.sqrt(rows.variance[rows.second])
    sine, cosine = _sine_and_cosine(rows.angle)
    # with the unit normals along z_s and along z_t
    with_s_1, with_s_2 = (
        _ratio(c, std_2) for c in (velocities.first_cross, velocities.point_cross[rows.second])
    )
    along_1 = _ratio(velocities.point_cross[rows.first], std_1, otherwise=with_s_1)
    along_2 = _ratio(velocities.second_cross, std_1, otherwise=with_s_2)
    across_1, across_2 = (
        _ratio(with_s_1 - cosine * along_1, sine),
        _ratio(with_s_2 - cosine * along_2, sine),
    )
    return Frame(along_1, across_1, along_2, across_2)


def _homogeneous(
    slopes: tuple[float, float], rows: Rows, velocities: Velocities, point_slope, pair_slope
) -> Velocities:
    left, right = slopes
    r = (right - left) ** 2 / (2.0 * jnp.pi)
    std_1, std_2 = jnp.sqrt(rows.variance[rows.first]), jnp.sqrt(rows.variance[rows.second])
    sine, cosine = _sine_and_cosine(rows.angle)
    along_1, across_1, along_2, across_2 = frame(rows, velocities)
    along_s = cosine * along_2 + sine * across_2
    across_s = sine * along_2 - cosine * across_2
    return Velocities(
        point_slope * velocities.point_cross,
        point_slope * velocities.point,
        pair_slope * velocities.first_cross + r * sine * std_2 * along_1,
        pair_slope * velocities.second_cross + r * sine * std_1 * along_s,
        pair_slope * velocities.pair + r * sine * (along_1 * along_s + across_1 * across_s),
    )


def _points_by_quadrature(activation: Activation, variance, velocities: Velocities, point_slope):
    def at(q, point_cross, point, slope):
        std = jnp.sqrt(q)
        z, weights = point_rule(activation.kinks, std)
        u = std * z
        phi, derivative = activation(u), activation.derivative(u)
        along = _ratio(point_cross, std)
        bend = jnp.sum(weights * derivative**2 * (z**2 - 1.0))
        return along * jnp.sum(weights * phi * derivative * z), slope * point + bend * along**2

    return jax.vmap(at)(variance, velocities.point_cross, velocities.point, point_slope)


def _pairs_by_quadrature(activation: Activation, rows: Rows, velocities: Velocities, pair_slope):
    def at(arguments):
        (first, second, growth, angle), axes, pair, slope = arguments
        weights, z_1, z_2, u, step = pair_rule(activation.kinks, first, second, growth, angle)
        slope_1, slope_2 = activation.derivative(u), activation.derivative(u + step)
        mean_1, mean_2 = (
            axes.along_1 * z_1 + axes.across_1 * z_2,
            axes.along_2 * z_1 + axes.across_2 * z_2,
        )
        rest = pair - axes.along_1 * axes.along_2 - axes.across_1 * axes.across_2
        return (
            jnp.sum(weights * slope_1 * activation(u + step) * mean_1),
            jnp.sum(weights * activation(u) * slope_2 * mean_2),
            jnp.sum(weights * slope_1 * slope_2 * mean_1 * mean_2) + rest * slope,
        )

    moments = rows.variance[rows.first], rows.variance[rows.second], rows.growth, rows.angle
    return jax.lax.map(at, (moments, frame(rows, velocities), velocities.pair, pair_slope))


def _scaled(velocities: Velocities, factor) -> Velocities:
    return Velocities(*(factor * covariance for covariance in velocities))


def _sine_and_cosine(angle: HalfAngle):
    return 2.0 * jnp.sqrt(angle.sin2 * angle.cos2), angle.cos2 - angle.sin2


def _ratio(numerator, denominator, otherwise=0.0):
    """numerator / denominator; `otherwise` for denominator 0."""
    return jnp.where(
        denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1.0), otherwise
    )
