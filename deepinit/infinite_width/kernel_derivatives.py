"""Derivatives of Gaussian expectations in the kernel entries, by Price's theorem.

(u, v) ~ N(0, .), variances q_1, q_2, covariance c, M_ij = E[phi^(i)(u) phi^(j)(v)]:
    dM_ij = M_{i+1,j+1} dc + (1/2) M_{i+2,j} dq_1 + (1/2) M_{i,j+2} dq_2.
Smooth activations: finite at all inputs, also equal, parallel, opposite and zero rows. Kinks add
`kink_terms`. Homogeneous, G = p - r theta, F = E[phi(u) phi(v)], s_i = sqrt(q_i):
    dF = G dc + (r/2) sin(theta) (s_2/s_1 dq_1 + s_1/s_2 dq_2).
The functions attach derivatives to values computed elsewhere.
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.infinite_width import kink_terms
from deepinit.infinite_width.attached import attach
from deepinit.infinite_width.duals import derivatives_up_to, theta
from deepinit.infinite_width.kink_terms import Geometry, PairKernel
from deepinit.infinite_width.quadrature import pair_rule, point_rule, root

Orders = tuple[tuple[int, int], ...]


def pair_derivatives(
    activation: Activation,
    orders: Orders,
    values: tuple[jax.Array, ...],
    kernel: PairKernel,
    at: Geometry,
) -> tuple[jax.Array, ...]:
    """`values` = M_ij for every (i, j) of `orders`, with derivatives.

    Smooth: of every order; `at` is not differentiated. Kinks: orders (0, 0) and (1, 1); second
    derivatives, by quadrature, need rows that are not collinear.
    """
    return attach(_pair_changes, (activation, orders), values, (kernel, at))


def _pair_changes(static: tuple[Activation, Orders], variables, changes) -> tuple[jax.Array, ...]:
    (activation, orders), (kernel, at), (change, at_change) = static, variables, changes
    needed = _needed(orders)
    if activation.kinks:
        table, corrections = _pair_quadrature(activation, needed, orders, at)
        angle_change = jax.jvp(theta, at.angle, at_change.angle)[1]
        by_kinks = [
            by_covariance * change.covariance
            + by_first * change.first
            + by_second * change.second
            + by_angle * angle_change
            for by_covariance, by_first, by_second, by_angle in corrections
        ]
    else:
        table = pair_derivatives(
            activation, needed, _pair_quadrature(activation, needed, (), at)[0], kernel, at
        )
        by_kinks = [0.0] * len(orders)
    moments = dict(zip(needed, table, strict=True))
    return tuple(
        moments[i + 1, j + 1] * change.covariance
        + 0.5 * (moments[i + 2, j] * change.first + moments[i, j + 2] * change.second)
        + by_kink
        for (i, j), by_kink in zip(orders, by_kinks, strict=True)
    )


def point_derivatives(
    activation: Activation, orders: Orders, values: tuple[jax.Array, ...], variance: jax.Array
) -> tuple[jax.Array, ...]:
    """`values` = M_ij at u = v [points], with derivatives."""
    return attach(_point_changes, (activation, orders), values, variance)


def _point_changes(static: tuple[Activation, Orders], variance, change) -> tuple[jax.Array, ...]:
    activation, orders = static
    needed = _needed(orders)
    if activation.kinks:
        table = _point_quadrature(activation, needed, variance)
    else:
        fixed = _point_quadrature(activation, needed, jax.lax.stop_gradient(variance))
        table = point_derivatives(activation, needed, fixed, variance)
    moments = dict(zip(needed, table, strict=True))
    slopes = [
        moments[i + 1, j + 1] + 0.5 * (moments[i + 2, j] + moments[i, j + 2]) for i, j in orders
    ]
    if activation.kinks:
        corrections = kink_terms.of_points(activation, [i for i, _ in orders], variance)
        slopes = [slope + correction for slope, correction in zip(slopes, corrections, strict=True)]
    return tuple(slope * change for slope in slopes)


def arc_cosine_derivatives(
    bend: float, value: jax.Array, kernel: PairKernel, slope: jax.Array, sine: jax.Array
) -> jax.Array:
    """`value` = F [pairs], with derivatives; `bend` is r, `slope` G."""
    return attach(_arc_cosine_changes, bend, (value,), (kernel, slope, sine))[0]


def _arc_cosine_changes(bend: float, variables, changes) -> tuple[jax.Array]:
    (kernel, slope, sine), change = variables, changes[0]
    std_1, std_2 = root(kernel.first), root(kernel.second)
    tilt = 0.5 * bend * sine
    by_first = tilt * ratio(std_2, std_1) * change.first
    return (slope * change.covariance + by_first + tilt * ratio(std_1, std_2) * change.second,)


def following(value: jax.Array, smooth: jax.Array) -> jax.Array:
    """`value` with the derivatives of `smooth`."""
    return jax.lax.stop_gradient(value) + (smooth - jax.lax.stop_gradient(smooth))


def ratio(numerator: jax.Array, denominator: jax.Array) -> jax.Array:
    """numerator / denominator; 0 for a zero denominator."""
    return jnp.where(denominator > 0, numerator / jnp.where(denominator > 0, denominator, 1.0), 0.0)


def _needed(orders: Iterable[tuple[int, int]]) -> Orders:
    """Moments in the derivatives of M_ij."""
    return tuple(sorted({(i + a, j + b) for i, j in orders for a, b in ((1, 1), (2, 0), (0, 2))}))


def _pair_quadrature(activation: Activation, orders: Orders, of_kinks: Orders, at: Geometry):
    """[M_ij of `orders`], [`kink_terms.of_pair` of `of_kinks`]."""
    derivatives = derivatives_up_to(activation, max(max(pair) for pair in orders))

    def one(arguments: Geometry):
        arguments = kink_terms.apart_from_zero(arguments)
        rule = pair_rule(activation.kinks, *arguments)
        f, g = derivatives(rule.u), derivatives(rule.u + rule.step)
        inner = {j: jnp.sum(rule.weights * g[j], axis=1) for _, j in orders}
        table = tuple(jnp.sum(f[i][:, 0] * inner[j]) for i, j in orders)
        if not of_kinks:
            return table, []
        return table, kink_terms.of_pair(activation, [i for i, _ in of_kinks], arguments)

    return jax.lax.map(one, at)


def _point_quadrature(
    activation: Activation, orders: Orders, variance: jax.Array
) -> tuple[jax.Array, ...]:
    derivatives = derivatives_up_to(activation, max(max(pair) for pair in orders))

    def one(q: jax.Array) -> tuple[jax.Array, ...]:
        std = root(jnp.maximum(q, kink_terms.LEAST))
        nodes, weights = point_rule(activation.kinks, std)
        f = derivatives(std * nodes)
        return tuple(jnp.sum(weights * f[i] * f[j]) for i, j in orders)

    return jax.vmap(one)(variance)
