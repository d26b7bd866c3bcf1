"""Moments of activations with kinks: panels between the kinks, derivatives of the density.

    dE f/dR_cd = c_cd E f (y_c y_d - P_cd),    y = P z,  P = R^-1,  c_cd = 1/2 if c = d else 1;

second derivatives use the Hermite tensor of degree 4. Rounding 1e-16 / (1 - rho^2)^2.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.gauss_legendre import normal_panels

_RADIUS = 10.5  # the weight of the plane outside it is 1e-24
_NODES = 20
_PANELS = 7
_ENDS = ((0, 0), (0, 1), (1, 1))
_HALVES = (0.5, 1.0, 0.5)
ROUNDING = 1e-16  # over (1 - rho^2)^2


def single(phi: Callable[[Any], Any], kinks: tuple[float, ...], own: Any) -> tuple[Any, ...]:
    """E phi^i, i = 1, ..., 4 [n, 4], and derivatives by the variance of the first two [n, 2]."""

    def moments(variance: Any) -> tuple[Any, ...]:
        z, weights = line(kinks, variance)
        value, square = phi(z), z**2 / variance
        slope = weights * (square - 1.0) / (2.0 * variance)
        curve = weights * (square**2 - 6.0 * square + 3.0) / (4.0 * variance**2)
        powers = jnp.stack([value**order for order in (1, 2, 3, 4)])
        return powers @ weights, powers[:2] @ slope, powers[:2] @ curve

    return jax.vmap(moments)(own)


def pair(phi: Callable[[Any], Any], kinks: tuple[float, ...], near: Any) -> tuple[Any, ...]:
    """E phi_a phi_b with derivatives by (R_aa, R_ab, R_bb); phi_a, phi_b, weights [n, m]."""

    def moments(kernel: Any) -> tuple[Any, ...]:
        nodes, weights = _plane(kernel, kinks)
        phi_a, phi_b = map(phi, _values(kernel, nodes))
        slopes, curves = _scores(kernel, nodes)
        product = weights * phi_a * phi_b
        return jnp.sum(product), slopes @ product, curves @ product, (phi_a, phi_b, weights)

    return jax.lax.map(moments, near)


def line(kinks: tuple[float, ...], variance: Any) -> tuple[Any, Any]:
    """Nodes z [m] of N(0, variance) and weights, panels between the kinks."""
    nodes, weights = _panels(jnp.asarray(kinks) / jnp.sqrt(variance))
    return jnp.sqrt(variance) * nodes, weights


def plane(kinks: tuple[float, ...], kernel: Any) -> tuple[Any, Any, Any]:
    """z_a, z_b [m] of (R_aa, R_ab, R_bb) and weights."""
    nodes, weights = _plane(kernel, kinks)
    return *_values(kernel, nodes), weights


def _values(kernel: Any, nodes: Any) -> tuple[Any, Any]:
    """z_a, z_b of two standard normals."""
    a, c, _ = kernel
    return jnp.sqrt(a) * nodes[0], c / jnp.sqrt(a) * nodes[0] + _across(kernel) * nodes[1]


def _across(kernel: Any) -> Any:
    a, c, b = kernel
    return jnp.sqrt(b - c * c / a)


def _scores(kernel: Any, nodes: Any) -> tuple[Any, Any]:
    """[3, m] and [3, 3, m]: factors of the density's derivatives by (R_aa, R_ab, R_bb)."""
    a, c, b = kernel
    inverse = jnp.array([[b, -c], [-c, a]]) / (a * b - c * c)
    across = _across(kernel)
    y_b = nodes[1] / across
    y = (nodes[0] / jnp.sqrt(a) - c / a * y_b, y_b)
    second = jnp.stack(
        [half * (y[i] * y[j] - inverse[i, j]) for half, (i, j) in zip(_HALVES, _ENDS, strict=True)]
    )

    def hermite(i: int, j: int, k: int, m: int) -> Any:
        p = inverse
        single = y[i] * y[j] * p[k, m] + y[i] * y[k] * p[j, m] + y[i] * y[m] * p[j, k]
        single += y[j] * y[k] * p[i, m] + y[j] * y[m] * p[i, k] + y[k] * y[m] * p[i, j]
        constant = p[i, j] * p[k, m] + p[i, k] * p[j, m] + p[i, m] * p[j, k]
        return y[i] * y[j] * y[k] * y[m] - single + constant

    fourth = [[hermite(*left, *right) for right in _ENDS] for left in _ENDS]
    halves = np.outer(_HALVES, _HALVES)[:, :, None]
    return second, halves * jnp.stack([jnp.stack(row) for row in fourth])


def _panels(splits: Any) -> tuple[Any, Any]:
    """Nodes and normal weights [m], panels at most 3 wide, split at the points."""
    fixed = jnp.linspace(-_RADIUS, _RADIUS, _PANELS + 1)
    edges = jnp.sort(jnp.concatenate([fixed, jnp.clip(splits, -_RADIUS, _RADIUS)]))
    return normal_panels(edges, _NODES)


def _plane(kernel: Any, kinks: tuple[float, ...]) -> tuple[Any, Any]:
    """Nodes [2, m] and weights [m] of two standard normals, split where z_a or z_b is a kink."""
    a, c, b = kernel
    along, across = c / jnp.sqrt(a), _across(kernel)
    safe = jnp.where(jnp.abs(along) > 1e-3 * jnp.sqrt(b), along, jnp.inf)
    ends = np.array([-8.0, -4.0, 0.0, 4.0, 8.0])
    points = jnp.asarray(kinks)
    clusters = (points[:, None] + across * ends) / safe  # z_b bends there, over across / along
    x, mass = _panels(jnp.concatenate([points / jnp.sqrt(a), clusters.ravel()]))
    breaks = jnp.clip((points[:, None] - along * x) / across, -_RADIUS, _RADIUS)
    fixed = jnp.linspace(-_RADIUS, _RADIUS, _PANELS + 1)[:, None] * jnp.ones_like(x)
    edges = jnp.sort(jnp.concatenate([fixed, breaks]), axis=0).T
    y, weights = normal_panels(edges, _NODES)
    grid = jnp.broadcast_to(x[:, None], y.shape)
    return jnp.stack([grid.ravel(), y.ravel()]), (weights * mass[:, None]).ravel()
