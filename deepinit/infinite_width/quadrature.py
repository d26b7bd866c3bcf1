"""Quadrature for Gaussian expectations at points and pairs, in JAX.

Smooth activations: trapezoidal rule in t, z = c + w sinh(t), w = 1 / std, nodes dense at the bend
z = c. Error exp(-pi^2 / (2 h)) at spacing h: below 1e-13 for h < 0.16, standard deviations up to
1000, below 1e-7 beyond. With means: t(z) = sum_i arcsinh((z - c_i) / w_i), nodes dense around every
c_i. Kinks: Gauss-Legendre between them.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.array_api import array_namespace
from deepinit.core.gauss_legendre import normal_panels
from deepinit.core.typing import Like, Real

Kinks = tuple[Any, ...]

REACH = 9.0  # standard deviations; the normal density integrates to 1 - 2e-19 on [-9, 9]
_FINEST_SCALE = 1e-3
_NUM_NODES = 129
_NUM_SHIFTED = 257  # nodes around the centre and two bends
_NEWTON_STEPS = 4
_CUTS = (-3.0, -1.0, -0.3, 0.0, 0.3, 1.0, 3.0)  # more breaks, for the finer rule


class PairRule(NamedTuple):
    """Nodes for a pair (u, v): [nodes, nodes or 1]; without means
    u = sqrt(q_1) z_1, v = u + step = sqrt(q_2) (cos(theta) z_1 + sin(theta) z_2).
    """

    weights: jax.Array
    z_1: jax.Array
    z_2: jax.Array
    u: jax.Array
    step: jax.Array


def point_rule(
    kinks: Kinks, std: jax.Array, mean: jax.Array | None = None, finer: bool = False
) -> tuple[jax.Array, jax.Array]:
    """Nodes z and weights for E f(mean + std z), f like phi or phi'."""
    if kinks:
        breaks = [quotient(kink, std) for kink in _shifted(kinks, mean)]
        return piecewise_rule(jnp.stack([*breaks, *(_CUTS if finer else ())]))
    scale = _finest_scale(std)
    if mean is None:
        return _sinh_rule(jnp.zeros(()), scale, _number(_NUM_NODES, finer))
    bend = quotient(-mean, std)
    return _shifted_rule((bend, bend), (scale, scale), _number(_NUM_SHIFTED, finer))


def pair_rule(
    kinks: Kinks,
    first: jax.Array,
    second: jax.Array,
    growth: jax.Array,
    angle: tuple[jax.Array, jax.Array],
    means: tuple[jax.Array, jax.Array] | None = None,
) -> PairRule:
    """Nodes for one pair; scalar arguments as `duals.pair_moments`."""
    sin2, cos2 = angle
    std_1, std_2 = root(first), root(second)
    sum_of_stds = std_1 + std_2
    std_growth = growth / jnp.where(sum_of_stds > 0, sum_of_stds, 1.0)
    sine, cosine = 2.0 * root(sin2 * cos2), cos2 - sin2
    mean_1, mean_2 = (None, None) if means is None else means
    if kinks:
        kinks_2 = [quotient(kink, std_2) for kink in _shifted(kinks, mean_2)]
        # Where u has its kinks, and where those of v begin and cease to be in reach of z_2.
        ends = [quotient(k + sign * REACH * sine, cosine) for k in kinks_2 for sign in (-1.0, 1.0)]
        kinks_1 = [quotient(kink, std_1) for kink in _shifted(kinks, mean_1)]
        z_1, weights_1 = piecewise_rule(jnp.stack([*kinks_1, *ends]))
        breaks = [quotient(kink - cosine * z_1, sine) for kink in kinks_2]
        z_2, weights_2 = jax.vmap(piecewise_rule)(jnp.stack(breaks, axis=-1))
    else:
        bend = 0.0 if mean_2 is None else quotient(-mean_2, std_2)
        if mean_1 is None:
            z_1, weights_1 = _sinh_rule(jnp.zeros(()), _finest_scale(jnp.maximum(std_1, std_2)))
        else:
            tilt = jnp.maximum(jnp.abs(cosine), 1e-3)
            wide = jnp.maximum(_finest_scale(std_2), sine) / tilt  # of E[f(v) | z_1]
            bends = quotient(-mean_1, std_1), quotient(bend, cosine)
            scales = _finest_scale(std_1), jnp.minimum(wide, 1.0)
            z_1, weights_1 = _shifted_rule(bends, scales, _NUM_SHIFTED)
        spread = std_2 * sine
        nearest = jnp.clip(quotient(bend - cosine * z_1, sine), -REACH, REACH)
        center = jnp.where(spread > 1.0, nearest, 0.0)
        z_2, weights_2 = jax.vmap(_sinh_rule, in_axes=(0, None))(center, _finest_scale(spread))
    step = ((std_growth - 2.0 * std_2 * sin2) * z_1)[:, None] + std_2 * sine * z_2
    weights = weights_1[:, None] * weights_2
    return PairRule(weights, z_1[:, None], z_2, (std_1 * z_1)[:, None], step)


def piecewise_rule(breaks: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Nodes and weights for E f(z): Gauss-Legendre between the breaks."""
    inside = jnp.sort(jnp.clip(breaks, -REACH, REACH))
    edges = jnp.concatenate([jnp.full((1,), -REACH), inside, jnp.full((1,), REACH)])
    return normal_panels(edges, 64)


def quotient(numerator: Real[Like, "..."], denominator: Real[Like, "..."]) -> jax.Array:
    """numerator / denominator, finite for a zero denominator."""
    ratio = numerator / jnp.where(jnp.abs(denominator) > 1e-300, denominator, 1e-300)
    return jnp.clip(
        ratio, -1e100, 1e100
    )  # XLA turns (0 / x) / y into 0 / (x y), which may be 0 / 0


def root(x: Like) -> Any:
    """sqrt(x), with derivative 0 at 0 (a zero row); NumPy or JAX."""
    xp = array_namespace(x)
    return xp.where(x > 0, xp.sqrt(xp.where(x > 0, x, 1.0)), 0.0)


def _shifted(kinks: Kinks, mean: jax.Array | None) -> Kinks:
    return kinks if mean is None else tuple(kink - mean for kink in kinks)


def _sinh_rule(center: Any, scale: Any, num_nodes: int = _NUM_NODES) -> tuple[jax.Array, jax.Array]:
    start, stop = (jnp.arcsinh((end - center) / scale) for end in (-REACH, REACH))
    spacing = (stop - start) / (num_nodes - 1)
    t = start + spacing * jnp.arange(num_nodes)
    nodes = center + scale * jnp.sinh(t)
    return nodes, spacing * scale * jnp.cosh(t) * _normal_density(nodes)


def _shifted_rule(bends: Any, scales: Any, num_nodes: int) -> tuple[jax.Array, jax.Array]:
    """Rule in t(z) around 0 and two bends."""
    bends = jnp.clip(jnp.stack([jnp.zeros_like(bends[0]), *bends]), -REACH, REACH)
    scales = jnp.stack([jnp.ones_like(scales[0]), *scales])

    def position(z: jax.Array) -> jax.Array:
        return jnp.sum(jnp.arcsinh((z[:, None] - bends) / scales), axis=1)

    def density(z: jax.Array) -> jax.Array:
        return jnp.sum(1.0 / jnp.sqrt(scales**2 + (z[:, None] - bends) ** 2), axis=1)

    steps = jnp.linspace(-1.0, 1.0, 65)[:, None] * jnp.arcsinh(2.0 * REACH / scales)
    guesses = jnp.sort(jnp.clip(bends + scales * jnp.sinh(steps), -REACH, REACH).ravel())
    t_guesses = position(guesses)
    t = jnp.linspace(t_guesses[0], t_guesses[-1], num_nodes)
    nodes = jnp.interp(t, t_guesses, guesses)
    for _ in range(_NEWTON_STEPS):
        nodes -= (position(nodes) - t) / density(nodes)
    return nodes, (t[1] - t[0]) / density(nodes) * _normal_density(nodes)


def _number(num_nodes: int, finer: bool) -> int:
    return 2 * num_nodes - 1 if finer else num_nodes


def _finest_scale(std: jax.Array) -> jax.Array:
    return jnp.clip(1.0 / jnp.maximum(std, 1e-300), _FINEST_SCALE, 1.0)


def _normal_density(z: jax.Array) -> jax.Array:
    return jnp.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
