r"""Derivatives of Gaussian expectations in the kernel entries, by Price's theorem.

For (u, v) centred Gaussian with variances q_1, q_2 and covariance c, and M_ij = E[phi^(i)(u) phi^(j)(v)],

    dM_ij = M_{i+1,j+1} dc + (1/2) M_{i+2,j} dq_1 + (1/2) M_{i,j+2} dq_2.

In these variables a smooth activation has finite derivatives of every order at all inputs, also at
equal, parallel, opposite and zero rows, where angles and norms are not differentiable. The positively
homogeneous activations have closed forms: with G = p - r theta and F = E[phi(u) phi(v)],

    dF = G dc + (r/2) sin(theta) (s_2/s_1 dq_1 + s_1/s_2 dq_2),    s_i = sqrt(q_i).

Values come from elsewhere, computed to relative accuracy; the functions here attach derivatives. A rule returns its own function
as the primal output: a bare value would have no derivative of second order.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width.duals import HalfAngle, derivative_of_order, pair_rule, point_rule, root


class PairKernel(NamedTuple):
    """Kernel entries of pairs, [pairs] each: the variables of differentiation."""

    first: jax.Array
    second: jax.Array
    covariance: jax.Array


class Geometry(NamedTuple):
    """The same pairs to relative accuracy, arguments of `duals.pair_rule`; not differentiated."""

    first: jax.Array
    second: jax.Array
    growth: jax.Array
    angle: HalfAngle


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def pair_derivatives(
    activation: Activation, orders: tuple[int, int], value: jax.Array, kernel: PairKernel, at: Geometry
) -> jax.Array:
    """`value` = M_ij [pairs] of a smooth activation, with the derivatives of the module docstring."""
    return value


@pair_derivatives.defjvp
def _(activation, orders, primals, tangents):
    value, kernel, at = primals
    i, j = orders

    def moment(i, j):
        here = _pair_quadrature(activation, (i, j), jax.lax.stop_gradient(at))
        return pair_derivatives(activation, (i, j), here, kernel, at)

    _, change, _ = tangents
    tangent = moment(i + 1, j + 1) * change.covariance + 0.5 * (
        moment(i + 2, j) * change.first + moment(i, j + 2) * change.second
    )
    return pair_derivatives(activation, orders, value, kernel, at), tangent


@functools.partial(jax.custom_jvp, nondiff_argnums=(0, 1))
def point_derivatives(
    activation: Activation, orders: tuple[int, int], value: jax.Array, variance: jax.Array
) -> jax.Array:
    """`value` = M_ij at u = v [points] of a smooth activation, with its derivative in the variance."""
    return value


@point_derivatives.defjvp
def _(activation, orders, primals, tangents):
    value, variance = primals
    i, j = orders

    def moment(i, j):
        here = _point_quadrature(activation, (i, j), jax.lax.stop_gradient(variance))
        return point_derivatives(activation, (i, j), here, variance)

    slope = moment(i + 1, j + 1) + 0.5 * (moment(i + 2, j) + moment(i, j + 2))
    return point_derivatives(activation, orders, value, variance), slope * tangents[1]


@functools.partial(jax.custom_jvp, nondiff_argnums=(0,))
def arc_cosine_derivatives(
    bend: float, value: jax.Array, kernel: PairKernel, slope: jax.Array, sine: jax.Array
) -> jax.Array:
    """`value` = F [pairs] of a homogeneous activation, with its derivatives; `bend` is r, `slope` is G."""
    return value


@arc_cosine_derivatives.defjvp
def _(bend, primals, tangents):
    value, kernel, slope, sine = primals
    change = tangents[1]
    std_1, std_2 = root(kernel.first), root(kernel.second)
    tilt = 0.5 * bend * sine
    by_first = tilt * ratio(std_2, std_1) * change.first
    tangent = slope * change.covariance + by_first + tilt * ratio(std_1, std_2) * change.second
    return arc_cosine_derivatives(bend, value, kernel, slope, sine), tangent


def following(value: jax.Array, smooth: jax.Array) -> jax.Array:
    """`value` to all digits, with the derivatives of `smooth`."""
    return jax.lax.stop_gradient(value) + (smooth - jax.lax.stop_gradient(smooth))


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator, and 0 where the denominator is 0 (a zero row)."""
    return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1.0), 0.0)


def _pair_quadrature(activation: Activation, orders: tuple[int, int], at: Geometry) -> jax.Array:
    f, g = _derivatives(activation, orders)

    def one(arguments: Geometry) -> jax.Array:
        rule = pair_rule(activation, *arguments)
        return jnp.sum(rule.weights * f(rule.u) * g(rule.u + rule.step))

    return jax.lax.map(one, at)


def _point_quadrature(activation: Activation, orders: tuple[int, int], variance: jax.Array) -> jax.Array:
    f, g = _derivatives(activation, orders)

    def one(q: jax.Array) -> jax.Array:
        nodes, weights = point_rule(activation, root(q))
        u = root(q) * nodes
        return jnp.sum(weights * f(u) * g(u))

    return jax.vmap(one)(variance)


def _derivatives(activation: Activation, orders: tuple[int, int]) -> list[Callable[[Any], Any]]:
    return [derivative_of_order(activation, order) for order in orders]
