"""Infinite-width recursion over layers: variances of points, half angles of pairs.

Covariance: sqrt(q_1 q_2) (cos^2(theta/2) - sin^2(theta/2)). The affine map q -> w q + b takes T = 4
sqrt(q_1 q_2) sin^2(theta/2) and U = 4 sqrt(q_1 q_2) cos^2(theta/2) to
    T' = w [T + 2 (b + x) gap^2 / (s_1' + s_2')^2],    U' = w U + 2 (b + x),
s = sqrt(q), gap = s_2 - s_1, x = s_1' s_2' - w s_1 s_2 = (w b (q_1 + q_2) + b^2) / (s_1' s_2' + w
s_1 s_2): sums of positive terms, accurate at tiny angles.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.array_api import array_namespace
from deepinit.core.inputs import Inputs
from deepinit.core.typing import Float, Like
from deepinit.infinite_width.duals import HalfAngle, bend, pair_moments, point_moments, sine
from deepinit.infinite_width.kernel_derivatives import (
    arc_cosine_derivatives,
    following,
    pair_derivatives,
    point_derivatives,
    ratio,
)
from deepinit.infinite_width.kink_terms import Geometry, PairKernel
from deepinit.infinite_width.quadrature import root

_PRODUCTS = ((0, 0), (1, 1))  # E[phi phi] and E[phi' phi']
_BATCH = 2**20  # numbers of input rows that are compared at a time


class Rows(NamedTuple):
    """Points and pairs of points.

    Attributes:
        variance: of points; inputs: |x|^2 / dimension.
        growth, angle: of pairs: second variance less the first; half angle.
        covariance: inputs: x.x' / dimension. Carries the derivatives with `variance`: angles have
            none at zero rows.
        first, second: indices of the points.
    """

    variance: Like
    growth: Like
    angle: HalfAngle
    covariance: Like
    first: Any
    second: Any


class Layers(NamedTuple):
    """Kernels K^l, Theta^l of the preactivations: [layers, points] or [layers, pairs]."""

    variance: jax.Array
    covariance: jax.Array
    point_ntk: jax.Array
    pair_ntk: jax.Array


class OwnParts(NamedTuple):
    """[layers] each, of a layer's own parameters in the NTK: weights times the kernel below, +
    biases.
    """

    weights: Like
    biases: Like


def propagate(
    activation: Activation,
    rows: Rows,
    weight_vars: jax.Array,
    bias_vars: jax.Array,
    own: OwnParts | None = None,
) -> Layers:
    """Kernels of every layer; weight_vars times fan_in; `own`: None for these."""
    own = own or OwnParts(weight_vars, bias_vars)

    def one_layer(carry, variances):
        rows, point_response, pair_response = carry
        weight_var, bias_var, own = variances
        before = affine(rows, weight_var, bias_var)
        # The layers below pass through the weights.
        point_ntk = own.weights * rows.variance + own.biases + weight_var * point_response
        pair_ntk = own.weights * rows.covariance + own.biases + weight_var * pair_response
        after, point_slope, pair_slope = nonlinearity(activation, before)
        layer = Layers(before.variance, before.covariance, point_ntk, pair_ntk)
        return (after, point_slope * point_ntk, pair_slope * pair_ntk), layer

    carry = (rows, jnp.zeros_like(rows.variance), jnp.zeros_like(rows.growth))
    return jax.lax.scan(one_layer, carry, (weight_vars, bias_vars, own))[1]


def affine(rows: Rows, weight_var: jax.Array, bias_var: jax.Array) -> Rows:
    """q -> weight_var q + bias_var."""
    variance = weight_var * rows.variance + bias_var
    covariance = weight_var * rows.covariance + bias_var
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
    # A zero row has no angle; after a bias it follows from the covariance.
    after_zero = _angle_of(angle, covariance, new_product)
    choices = zip(angle, after_zero, strict=True)
    angle = HalfAngle(*(jnp.where(product > 0, *parts) for parts in choices))
    return rows._replace(
        variance=variance, growth=weight_var * rows.growth, angle=angle, covariance=covariance
    )


def nonlinearity(activation: Activation, rows: Rows) -> tuple[Rows, jax.Array, jax.Array]:
    """Rows after phi, E[phi'(u)^2] of points, E[phi'(u) phi'(v)] of pairs."""
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
    """The angle, with the derivatives of its cosine."""
    cosine = ratio(covariance, norms)
    return HalfAngle(following(angle.sin2, -0.5 * cosine), following(angle.cos2, 0.5 * cosine))


def rows_of_points(x: jax.Array) -> Rows:
    """Points x [num, dimension] and all pairs."""
    return rows_of_pairs(x, *_pairs_above_diagonal(x.shape[0]))


def rows_of_pairs(x: jax.Array, first: jax.Array, second: jax.Array) -> Rows:
    """Points x [num, dimension] and pairs of indices."""

    def pair(indices):
        start, partner = x[indices[0]], x[indices[1]]
        difference = partner - start
        growth, covariance = jnp.mean(difference * (start + partner)), jnp.mean(start * partner)
        angle = half_angle(start[None], difference[None])
        return growth, covariance, HalfAngle(*(part[0] for part in angle))

    # in batches: rows of all pairs at once would take [pairs, dimension]
    batch = max(1, _BATCH // x.shape[1])
    growth, covariance, angle = jax.lax.map(pair, (first, second), batch_size=batch)
    return Rows(jnp.mean(x**2, axis=1), growth, angle, covariance, first, second)


def rows_of_inputs(inputs: Inputs) -> Rows:
    """Base points and partners; every displacement is a pair. NumPy: nothing to compile."""
    points, displacements = (
        np.asarray(rows, np.float64) for rows in (inputs.points, inputs.displacements)
    )
    bases = np.asarray(inputs.bases)
    start = points[bases]
    partners = start + displacements
    return Rows(
        variance=np.mean(np.concatenate([points, partners]) ** 2, axis=1),
        growth=np.mean(displacements * (start + partners), axis=1),
        angle=half_angle(start, displacements),
        covariance=np.mean(start * partners, axis=1),
        first=bases,
        second=points.shape[0] + np.arange(inputs.num_pairs),
    )


def half_angle(points: Float[Like, "n d"], displacements: Float[Like, "n d"]) -> HalfAngle:
    """Angles of points and points + displacements, by Kahan's formula; NumPy or JAX."""
    xp = array_namespace(points, displacements)
    partners = points + displacements
    norm_1, norm_2 = (root(xp.sum(rows**2, axis=1, keepdims=True)) for rows in (points, partners))
    total = norm_1 + norm_2
    growth = xp.sum(displacements * (points + partners), axis=1, keepdims=True) / xp.where(
        total > 0, total, 1.0
    )
    minus = xp.sum((growth * points - norm_1 * displacements) ** 2, axis=1)
    plus = xp.sum((norm_2 * points + norm_1 * partners) ** 2, axis=1)
    both = xp.where(minus + plus > 0, minus + plus, 1.0)
    return HalfAngle(minus / both, plus / both)


def matrices(rows: Rows, points: jax.Array, pairs: jax.Array) -> jax.Array:
    """Symmetric [..., num, num] from diagonal [..., num] and all pairs."""
    num = points.shape[-1]
    upper = jnp.zeros((*points.shape, num), points.dtype)
    upper = upper.at[..., rows.first, rows.second].set(pairs)
    diagonal = points[..., :, None] * jnp.eye(num, dtype=points.dtype)
    return upper + jnp.swapaxes(upper, -1, -2) + diagonal


def _pairs_above_diagonal(num: int) -> tuple[jax.Array, jax.Array]:
    """`np.triu_indices(num, 1)`, computed, not a stored constant."""
    counts = jnp.arange(num - 1, -1, -1)
    total = num * (num - 1) // 2
    first = jnp.repeat(jnp.arange(num), counts, total_repeat_length=total)
    return first, jnp.arange(total) - (jnp.cumsum(counts) - counts)[first] + first + 1
