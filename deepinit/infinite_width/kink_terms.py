"""Terms of an activation's kinks in derivatives of its Gaussian expectations.

f is phi or phi'. At kinks k, f jumps by I_k and f' by J_k: f'' in Price's theorem
(`kernel_derivatives`) has terms J_k delta(u - k) + I_k delta'(u - k). With s_i = sqrt(q_i), p the
density of u, E[f(u) f(v)] changes, summed over the kinks of u, by
    dc:    I_k p(k) E[f'(v) | u = k],
    dq_1:  (1/2) p(k) (J_k E[f(v) | u = k]
                       + I_k ((k/q_1) E[f(v) | u = k] - (c/q_1) E[f'(v) | u = k])),
likewise with u and v exchanged, and where two jumps meet,
    dtheta:  -(1/(2 pi)) I_j I_k exp(-a^2/2 - z^2/2),
             a = k/s_1,  z = (j/s_2 - a cos(theta)) / sin(theta).
At equal rows a jump counts by the mean of its sides; divergent densities at a zero row are left
out.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activation import Activation, inside
from deepinit.core.host import on_host
from deepinit.infinite_width.duals import HalfAngle, derivatives_up_to
from deepinit.infinite_width.quadrature import piecewise_rule, quotient, root

LEAST = 1e-200  # a variance for 0, which keeps the sign of a preactivation beside a kink at 0
_NO_JUMP = 1e-9  # relative; rounding of one-sided values


class PairKernel(NamedTuple):
    """Kernel entries, [pairs]: the variables of differentiation."""

    first: jax.Array
    second: jax.Array
    covariance: jax.Array


class Geometry(NamedTuple):
    """The same pairs to relative accuracy, as in `quadrature.pair_rule`."""

    first: jax.Array
    second: jax.Array
    growth: jax.Array
    angle: HalfAngle


class PairTerms(NamedTuple):
    """Coefficients of dc, dq_1, dq_2 and dtheta."""

    by_covariance: jax.Array
    by_first: jax.Array
    by_second: jax.Array
    by_angle: jax.Array


def of_pair(activation: Activation, orders: Sequence[int], at: Geometry) -> list[PairTerms]:
    """Terms of E[f(u) f(v)], f = phi^(order), order 0 or 1."""
    stds, growth = (root(at.first), root(at.second)), at.growth
    covariance = stds[0] * stds[1] * (at.angle.cos2 - at.angle.sin2)
    sides = _sides(activation)
    jumps = sides[:, 1] - sides[:, 0]  # [derivatives, kinks]
    terms = [[0.0, 0.0, 0.0, 0.0] for _ in orders]
    for own, sign in ((0, 1.0), (1, -1.0)):
        std, other = stds[own], stds[1 - own]
        variance = std**2
        for index, kink in enumerate(activation.kinks):
            expected, breaks = _given_at_kink(activation, kink, std, other, sign * growth, at.angle)
            density = _density(kink, std)
            for term, order in zip(terms, orders, strict=True):
                jump, bend = jumps[order, index], jumps[order + 1, index]
                f, slope = expected[order], expected[order + 1]
                term[0] += jump * density * slope
                drift = (kink * f - covariance * slope) / variance
                term[1 + own] += 0.5 * density * (bend * f + jump * drift)
                if own == 0:
                    meeting = jnp.exp(-0.5 * ((kink / std) ** 2 + breaks**2))
                    term[3] -= jump * jnp.sum(jumps[order] * meeting) / (2.0 * math.pi)
    return [PairTerms(*(jnp.asarray(part) for part in term)) for term in terms]


def of_points(
    activation: Activation, orders: Sequence[int], variance: jax.Array
) -> list[jax.Array]:
    """Terms of dE[f(u)^2] / dq, [points]."""
    std = root(jnp.maximum(variance, LEAST))
    sides = _sides(activation)
    derivatives = []
    for order in orders:
        f, slope = sides[order], sides[order + 1]
        jumps, bends = f[1] ** 2 - f[0] ** 2, 2.0 * (f[1] * slope[1] - f[0] * slope[0])
        total = jnp.zeros_like(variance)
        for kink, jump, bend in zip(activation.kinks, jumps, bends, strict=True):
            total += 0.5 * _density(kink, std) * (bend + jump * kink / std**2)
        derivatives.append(total)
    return derivatives


def apart_from_zero(at: Geometry) -> Geometry:
    """Zero rows replaced by tiny rows orthogonal to others."""
    first, second = (jnp.maximum(variance, LEAST) for variance in (at.first, at.second))
    is_zero = at.angle.sin2 + at.angle.cos2 == 0.0
    angle = HalfAngle(*(jnp.where(is_zero, 0.5, part) for part in at.angle))
    return Geometry(first, second, at.growth, angle)


def _given_at_kink(activation: Activation, kink: float, std, other, growth, angle: HalfAngle):
    """E[phi^(m)(v) | u = kink], m = 0, 1, 2, and z [kinks] of v's kinks."""
    sine, cosine = 2.0 * root(angle.sin2 * angle.cos2), angle.cos2 - angle.sin2
    breaks = jnp.stack(
        [quotient(_gap(kink, end, std, other, growth, angle), sine) for end in activation.kinks]
    )
    nodes, weights = piecewise_rule(breaks)
    v = other * (cosine * kink / std + sine * nodes)
    pieces = itertools.pairwise((-math.inf, *activation.kinks, math.inf))
    least, most = np.transpose([inside(low, high, v.dtype) for low, high in pieces])
    v = jnp.clip(v.reshape(len(least), -1), least[:, None], most[:, None]).ravel()
    return [jnp.sum(weights * values) for values in derivatives_up_to(activation, 2)(v)], breaks


def _gap(kink: float, end: float, std, other, growth, angle: HalfAngle):
    """end/other - cos(theta) kink/std, without cancellation."""
    tilt = kink * growth / (std + other) / (std * other)
    start, stop = kink / std, end / other
    near = (-tilt if end == kink else stop - start) + 2.0 * start * angle.sin2
    far = (tilt if end == -kink else stop + start) - 2.0 * start * angle.cos2
    return jnp.where(angle.sin2 <= angle.cos2, near, far)


def _density(kink: float, std) -> jax.Array:
    """Normal density at the kink; 0 at a zero row."""
    is_zero = std**2 <= 2.0 * LEAST
    safe = jnp.where(is_zero, 1.0, std)
    return jnp.where(
        is_zero, 0.0, jnp.exp(-0.5 * (kink / safe) ** 2) / (math.sqrt(2.0 * math.pi) * safe)
    )


@functools.lru_cache(maxsize=64)
def _sides(activation: Activation) -> np.ndarray:
    """[3, 2, kinks]: phi, phi', phi'' left and right."""
    left_of = [inside(-math.inf, kink, np.float64)[1] for kink in activation.kinks]
    right_of = [inside(kink, math.inf, np.float64)[0] for kink in activation.kinks]
    points = np.array([left_of, right_of])
    sides = on_host(lambda x: jnp.stack(derivatives_up_to(activation, 2)(x)), points)
    left, right = sides[:, 0], sides[:, 1]
    is_jump = abs(right - left) > _NO_JUMP * np.maximum(1.0, np.maximum(abs(left), abs(right)))
    return np.stack([left, np.where(is_jump, right, left)], axis=1)
