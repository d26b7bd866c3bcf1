r"""The infinite-width recursion over layers: variances of points and half angles of pairs, one `lax.scan` over depth.

A pair of points with variances q_1, q_2 is carried as its growth q_2 - q_1 and its half angle; the covariance is
sqrt(q_1 q_2) (cos^2(theta/2) - sin^2(theta/2)). The affine map of a layer, q -> w q + b for variances and covariances
alike, turns T = 4 sqrt(q_1 q_2) sin^2(theta/2) and U = 4 sqrt(q_1 q_2) cos^2(theta/2) into

    T' = w [T + 2 (b + x) gap^2 / (s_1' + s_2')^2],    U' = w U + 2 (b + x),

with s = sqrt(q), gap = s_2 - s_1, x = s_1' s_2' - w s_1 s_2 = (w b (q_1 + q_2) + b^2) / (s_1' s_2' + w s_1 s_2): sums of
positive terms only, so that a tiny angle keeps its digits through biases and unequal norms. (T is |a - b|^2 less the square of
the difference of the norms; multiply out.) The nonlinearity is in `duals`.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.infinite_width.duals import HalfAngle, pair_moments, point_moments


class Rows(NamedTuple):
    """Points and pairs of them.

    Attributes:
        variance: [points]; of the inputs: |x|^2 / dimension.
        growth: [pairs]: variance of the second less that of the first.
        angle: [pairs] each.
        first, second: [pairs]: indices of the points, static.
    """

    variance: jax.Array
    growth: jax.Array
    angle: HalfAngle
    first: np.ndarray
    second: np.ndarray

    @property
    def covariance(self) -> jax.Array:
        """[pairs]."""
        norms = jnp.sqrt(self.variance[self.first] * self.variance[self.second])
        return norms * (self.angle.cos2 - self.angle.sin2)


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
    activation: Activation, rows: Rows, weight_vars: jax.Array, bias_vars: jax.Array, shares: Shares | None = None
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
    variance = weight_var * rows.variance + bias_var
    q_1, q_2 = rows.variance[rows.first], rows.variance[rows.second]
    s_1, s_2 = jnp.sqrt(q_1), jnp.sqrt(q_2)
    t_1, t_2 = jnp.sqrt(variance[rows.first]), jnp.sqrt(variance[rows.second])
    product, new_product = s_1 * s_2, t_1 * t_2
    excess = bias_var + _ratio(weight_var * bias_var * (q_1 + q_2) + bias_var**2, new_product + weight_var * product)
    gap = _ratio(rows.growth, s_1 + s_2)
    four_sin2 = weight_var * (4.0 * product * rows.angle.sin2 + 2.0 * excess * _ratio(gap, t_1 + t_2) ** 2)
    four_cos2 = weight_var * 4.0 * product * rows.angle.cos2 + 2.0 * excess
    angle = HalfAngle(_ratio(four_sin2, 4.0 * new_product), _ratio(four_cos2, 4.0 * new_product))
    return rows._replace(variance=variance, growth=weight_var * rows.growth, angle=angle)


def nonlinearity(activation: Activation, rows: Rows) -> tuple[Rows, jax.Array, jax.Array]:
    """The rows after the activation, and E[phi'(u)^2] of the points and E[phi'(u) phi'(v)] of the pairs."""
    variance, point_slope = point_moments(activation, rows.variance)
    first, second = rows.variance[rows.first], rows.variance[rows.second]
    pair = pair_moments(activation, first, second, rows.growth, rows.angle)
    return rows._replace(variance=variance, growth=pair.growth, angle=pair.angle), point_slope, pair.derivative


def _ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator, and 0 where the denominator is 0 (a zero row)."""
    return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1.0), 0.0)
