r"""The infinite-width recursion over layers: variances of points and half angles of pairs, one `lax.scan` over depth.

A pair of points with variances q_1, q_2 is carried as its growth q_2 - q_1 and its half angle; the covariance is
sqrt(q_1 q_2) (cos^2(theta/2) - sin^2(theta/2)). The affine map of a layer, q -> w q + b for variances and covariances
alike, turns T = 4 sqrt(q_1 q_2) sin^2(theta/2) and U = 4 sqrt(q_1 q_2) cos^2(theta/2) into

    T' = w [T + 2 (b + x) gap^2 / (s_1' + s_2')^2],    U' = w U + 2 (b + x),

with s = sqrt(q), gap = s_2 - s_1, x = s_1' s_2' - w s_1 s_2 = (w b (q_1 + q_2) + b^2) / (s_1' s_2' + w s_1 s_2): sums of
positive terms only, so that a tiny angle keeps its digits through biases and unequal norms. (T is |a - b|^2 less the square of
the difference of the norms; multiply out.) The nonlinearity is in `duals`.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.duals import HalfAngle, bend, pair_moments, point_moments, sine
from deepinit.infinite_width.kink_terms import Geometry, PairKernel
from deepinit.infinite_width.price import (
    arc_cosine_derivatives,
    following,
    pair_derivatives,
    point_derivatives,
    ratio,
)
from deepinit.infinite_width.quadrature import root

_PRODUCTS = ((0, 0), (1, 1))  # E[phi phi] and E[phi' phi']


class Rows(NamedTuple):
    """Points and pairs of them.

    Attributes:
        variance: [points]; of the inputs: |x|^2 / dimension.
        growth: [pairs]: variance of the second less that of the first.
        angle: [pairs] each.
        covariance: [pairs]; of the inputs: x.x' / dimension. With `variance` it carries the derivatives: angles
            and norms have none at zero rows.
        first, second: [pairs]: indices of the points.
    """

    variance: jax.Array
    growth: jax.Array
    angle: HalfAngle
    covariance: jax.Array
    first: Any
    second: Any


class Layers(NamedTuple):
    """What every layer of the recursion leaves behind: [layers, points] or [layers, pairs].

    Attributes:
        variance, covariance: K^l, of the preactivations z^l.
        point_ntk, pair_ntk: Theta^l, of the preactivations z^l.
    """

    variance: jax.Array
    covariance: jax.Array
    point_ntk: jax.Array
    pair_ntk: jax.Array


class Shares(NamedTuple):
    """[layers] each: 1.0 where a layer's weights, or its biases, have a share in the kernel of tangents, 0.0 elsewhere."""

    weights: jax.Array
    biases: jax.Array


def propagate(
    activation: Activation,
    rows: Rows,
    weight_vars: jax.Array,
    bias_vars: jax.Array,
    shares: Shares | None = None,
) -> Layers:
    """Every layer's kernels.

    Args:
        activation: phi, static under jit.
        rows: the inputs.
        weight_vars: [layers], variance of a weight times fan_in.
        bias_vars: [layers], variance of a bias.
        shares: in the kernel of tangents; None for those of all parameters.
    """
    shares = shares or Shares(jnp.ones_like(weight_vars), jnp.ones_like(bias_vars))

    def layer(carry, variances):
        rows, point_response, pair_response = carry
        weight_var, bias_var, share = variances
        before = affine(rows, weight_var, bias_var)
        covariance = before.covariance
        # A kernel of tangents: the layer's own weights and biases give K, the layers below pass through the weights.
        by_weights, by_biases = share.weights * weight_var, share.biases * bias_var
        point_ntk = by_weights * rows.variance + by_biases + weight_var * point_response
        pair_ntk = by_weights * rows.covariance + by_biases + weight_var * pair_response
        after, point_slope, pair_slope = nonlinearity(activation, before)
        seen = Layers(before.variance, covariance, point_ntk, pair_ntk)
        return (after, point_slope * point_ntk, pair_slope * pair_ntk), seen

    carry = (rows, jnp.zeros_like(rows.variance), jnp.zeros_like(rows.growth))
    return jax.lax.scan(layer, carry, (weight_vars, bias_vars, shares))[1]


def affine(rows: Rows, weight_var: jax.Array, bias_var: jax.Array) -> Rows:
    """q -> weight_var q + bias_var; formulas in the module's docstring."""
    variance, covariance = (
        weight_var * rows.variance + bias_var,
        weight_var * rows.covariance + bias_var,
    )
    q_1, q_2 = rows.variance[rows.first], rows.variance[rows.second]
    s_1, s_2 = root(q_1), root(q_2)
    t_1, t_2 = root(variance[rows.first]), root(variance[rows.second])
    product, new_product = s_1 * s_2, t_1 * t_2
    excess = bias_var + ratio(
        weight_var * bias_var * (q_1 + q_2) + bias_var**2, new_product + weight_var * product
    )
    gap = ratio(rows.growth, s_1 + s_2)
    four_sin2 = weight_var * (
        4.0 * product * rows.angle.sin2 + 2.0 * excess * ratio(gap, t_1 + t_2) ** 2
    )
    four_cos2 = weight_var * 4.0 * product * rows.angle.cos2 + 2.0 * excess
    angle = HalfAngle(ratio(four_sin2, 4.0 * new_product), ratio(four_cos2, 4.0 * new_product))
    # A zero row has no angle, and a norm without derivative; after a bias both follow from the covariance.
    angle = _choose(product > 0, angle, _angle_of(angle, covariance, new_product))
    return rows._replace(
        variance=variance, growth=weight_var * rows.growth, angle=angle, covariance=covariance
    )


def nonlinearity(activation: Activation, rows: Rows) -> tuple[Rows, jax.Array, jax.Array]:
    """The rows after the activation, and E[phi'(u)^2] of the points and E[phi'(u) phi'(v)] of the pairs."""
    first, second = rows.variance[rows.first], rows.variance[rows.second]
    kernel, at = (
        PairKernel(first, second, rows.covariance),
        Geometry(first, second, rows.growth, rows.angle),
    )
    is_closed_form = activation.slopes is not None
    if not (is_closed_form or activation.kinks):
        at = jax.lax.stop_gradient(at)
    variance, point_slope = point_moments(activation, rows.variance)
    growth, angle, pair_slope = pair_moments(activation, *at)
    if not is_closed_form:
        values = jax.lax.stop_gradient((variance, point_slope))
        variance, point_slope = point_derivatives(activation, _PRODUCTS, values, rows.variance)
    norms = root(variance[rows.first]) * root(variance[rows.second])
    covariance = jax.lax.stop_gradient(norms * (angle.cos2 - angle.sin2))
    if is_closed_form:
        assert activation.slopes is not None
        covariance = arc_cosine_derivatives(
            bend(activation.slopes), covariance, kernel, pair_slope, sine(rows.angle)
        )
    else:
        values = covariance, jax.lax.stop_gradient(pair_slope)
        covariance, pair_slope = pair_derivatives(activation, _PRODUCTS, values, kernel, at)
        growth = following(growth, variance[rows.second] - variance[rows.first])
        angle = _angle_of(angle, covariance, norms)
    after = rows._replace(variance=variance, growth=growth, angle=angle, covariance=covariance)
    return after, point_slope, pair_slope


def _angle_of(angle: HalfAngle, covariance: jax.Array, norms: jax.Array) -> HalfAngle:
    """The angle to all digits, with the derivatives of the covariance's cosine."""
    cosine = ratio(covariance, norms)
    return HalfAngle(following(angle.sin2, -0.5 * cosine), following(angle.cos2, 0.5 * cosine))


def _choose(condition: jax.Array, one: HalfAngle, other: HalfAngle) -> HalfAngle:
    return HalfAngle(
        jnp.where(condition, one.sin2, other.sin2), jnp.where(condition, one.cos2, other.cos2)
    )
