"""Moments of homogeneous activations: closed forms; products by arcs between sign changes.

phi(x) = m x + d |x|, m = (right + left)/2, d = (right - left)/2; D = sqrt(R_aa R_bb - R_ab^2):

    E phi_a = d sqrt(2 R_aa / pi),
    E phi_a phi_b = m^2 R_ab + d^2 (2/pi) (D + R_ab asin rho).
"""

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.gauss_legendre import unit_rule

_ARC_NODES = 20  # exact to rounding for trigonometric polynomials of degree 4 on arcs up to pi
_RADIAL = {2: 2.0, 3: 3.0 * math.sqrt(math.pi / 2.0), 4: 8.0}  # E R^order


def single(slopes: tuple[float, float]) -> tuple[Callable[[Any], Any], ...]:
    """E phi, E phi^2, E phi^3, E phi^4 as functions of the variance."""
    left, right = slopes
    odd = (right**3 - left**3) * math.sqrt(2.0 / math.pi)  # E |z|^3 = 2 sqrt(2/pi)
    return (
        lambda own: 0.5 * (right - left) * jnp.sqrt(2.0 / math.pi * own),
        lambda own: 0.5 * (left**2 + right**2) * own,
        lambda own: odd * own**1.5,
        lambda own: 1.5 * (left**4 + right**4) * own**2,
    )


def product(slopes: tuple[float, float], kernel: Any) -> Any:
    """E phi_a phi_b of (R_aa, R_ab, R_bb)."""
    left, right = slopes
    straight, bent = (0.5 * (right + left)) ** 2, (0.5 * (right - left)) ** 2 * 2.0 / math.pi
    a, c, b = kernel
    if not bent:
        return straight * c
    size = jnp.sqrt(a * b)
    root = jnp.sqrt((size - c) * (size + c))  # keeps the digits of a small angle
    return straight * c + bent * (root + c * jnp.arctan2(c, root))


def products(slopes: tuple[float, float], near: Any) -> Any:
    """[n, 5, 5], `quadrature.PairMoments.products`.

    z_a = sqrt(a) R cos t, z_b = sqrt(b) R cos(t - theta).
    """
    left, right = slopes
    a, c, b = near.T
    size = jnp.sqrt(a * b)
    theta = 0.5 * math.pi - jnp.arctan2(c, jnp.sqrt((size - c) * (size + c)))
    unit, mass = unit_rule(_ARC_NODES)
    mass = mass / (2.0 * math.pi)
    opening = theta[:, None]
    wide = jnp.maximum(math.pi - opening, 0.0)
    same = 0.5 * math.pi - wide * unit
    apart = opening * unit  # from the sign change of z_a on
    # |cos| on the four arcs, with the slopes there
    arcs = [
        (right, right, jnp.cos(same), jnp.cos(same - opening), wide * mass),
        (-left, -left, jnp.cos(same), jnp.cos(same - opening), wide * mass),
        (right, -left, jnp.sin(apart), jnp.sin(opening - apart), opening * mass),
        (-left, right, jnp.sin(apart), jnp.sin(opening - apart), opening * mass),
    ]
    phi_a = jnp.concatenate([s * cos for s, _, cos, _, _ in arcs], axis=1) * jnp.sqrt(a)[:, None]
    phi_b = jnp.concatenate([s * cos for _, s, _, cos, _ in arcs], axis=1) * jnp.sqrt(b)[:, None]
    weights = jnp.concatenate([weight for *_, weight in arcs], axis=1)
    f = jnp.stack([phi_a * phi_a, phi_a * phi_b, phi_b * phi_b, phi_a, phi_b], axis=1)
    degree = np.array([2, 2, 2, 1, 1])
    radial = np.vectorize(_RADIAL.get)(degree[:, None] + degree)
    return radial * jnp.einsum("nim,nm,njm->nij", f, weights, f)
