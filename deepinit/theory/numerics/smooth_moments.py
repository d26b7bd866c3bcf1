"""Gaussian moments of one layer, smooth activation, parallel inputs too.

    dE f/dK_ab = E d_a d_b f    (a != b),        dE f/dK_aa = (1/2) E d_a^2 f,

so derivatives of g and h are E phi^(i)(z_a) phi^(j)(z_b), i, j <= 5, by JAX's forward
mode in float64; phi needs five continuous ones. Nearly parallel: z_b = (K_ab/K_aa) z_a + s v,
s^2 = (1 - rho^2) K_bb; Gauss-Hermite of m nodes in v has error s^(2m).
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

from deepinit.core.activations import BUILTIN, Activation
from deepinit.theory.numerics.kernel_moments import NEAR, Derivatives, EntryMoments, joined
from deepinit.theory.numerics.normal_nodes import (
    DiskRule,
    disk_rule,
    half_count,
    line_rule,
    on_padded,
)

_LARGEST_BLOCK = 200_000  # nodes times pairs held at once
_ACROSS = 10  # nodes across for nearly parallel inputs: s^20 < 1e-20 of the unit of variation
_ORDERS = 6
_SECOND = np.array([[2, 1, 0], [0, 1, 2]])  # d_a, d_b of the derivatives by K_aa, K_ab, K_bb
_HALVES = np.array([0.5, 1.0, 0.5])


def smooth_pair_moments(activation: Activation, kernels: np.ndarray) -> EntryMoments:
    """Entries (a, b), a != b, as `pair_moments`, without kinks; K semi-definite."""
    kernels = np.asarray(kernels, dtype=np.float64)
    std = math.sqrt(float(kernels[:, [0, 2]].max(initial=0.0)))
    near = (1.0 - kernels[:, 1] ** 2 / (kernels[:, 0] * kernels[:, 2])).max() < NEAR
    half = half_count(activation, std)
    rule = _thin_rule(half) if near else disk_rule(half)
    size = max(1, _LARGEST_BLOCK // len(rule.weights))
    parts = (kernels[start : start + size] for start in range(0, len(kernels), size))
    return joined([_block(activation, part, rule) for part in parts])


@lru_cache(maxsize=16)
def _thin_rule(half: int) -> DiskRule:
    """Many nodes along, few across."""
    along, mass = line_rule(half)
    across, share = np.polynomial.hermite_e.hermegauss(_ACROSS)
    nodes = np.stack([axis.ravel() for axis in np.meshgrid(along, across, indexing="ij")], axis=1)
    weights = np.outer(mass, share / math.sqrt(2.0 * math.pi)).ravel()
    return DiskRule(nodes, weights, along, np.repeat(np.arange(len(along)), _ACROSS))


def derivatives_at(activation: Activation, x: np.ndarray) -> np.ndarray:
    """[6, ...]: phi and five derivatives at x."""
    return on_padded(_compiled(activation), x)


@lru_cache(maxsize=16)
def _compiled(activation: Activation):
    """x -> phi and its derivatives."""
    import jax

    def all_orders(z):
        import jax.numpy as jnp

        def derivative(f):
            return lambda t: jax.jvp(f, (t,), (jnp.ones_like(t),))[1]

        orders: list[Callable] = [activation]
        # built-ins have an accurate first derivative
        first = activation.derivative if activation.name in BUILTIN else derivative(activation)
        orders.append(first)
        while len(orders) < _ORDERS:
            orders.append(derivative(orders[-1]))
        return jnp.stack([f(z) for f in orders])

    return jax.jit(all_orders)


def _block(activation: Activation, kernels: np.ndarray, rule: DiskRule) -> EntryMoments:
    (a, c, b), weights = kernels.T, rule.weights
    across = np.sqrt(np.maximum(b - c * c / a, 0.0))
    zb = (c / np.sqrt(a))[:, None] * rule.nodes[:, 0] + across[:, None] * rule.nodes[:, 1]
    of_a = derivatives_at(activation, np.sqrt(a)[:, None] * rule.line)[:, :, rule.place]
    of_b = derivatives_at(activation, zb)
    # E phi^(i)(z_a) phi^(j)(z_b)
    table = (of_a * weights).transpose(1, 0, 2) @ of_b.transpose(1, 2, 0)

    def derivatives(order: int) -> Derivatives:
        orders = order + _SECOND
        both = order + _SECOND[:, :, None] + _SECOND[:, None, :]
        gradient = _HALVES * table[:, orders[0], orders[1]]
        hessian = np.outer(_HALVES, _HALVES) * table[:, both[0], both[1]]
        return Derivatives(table[:, order, order], gradient, hessian)

    (phi_a, slope_a), (phi_b, slope_b) = of_a[:2], of_b[:2]
    features = [phi_a * phi_a, phi_a * phi_b, phi_b * phi_b]
    features += [slope_a * slope_a, slope_a * slope_b, slope_b * slope_b]
    stacked = np.stack(features, axis=1)
    products = (stacked * weights) @ stacked.transpose(0, 2, 1)
    return EntryMoments(derivatives(0), derivatives(1), products)
