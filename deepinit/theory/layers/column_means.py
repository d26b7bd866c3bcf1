"""E F_a and E F_a F_b of columns F = phi(z) of many networks, in JAX.

z = sqrt(R_aa) x_a. The x are normal (N infinite), or coordinates of vectors of norm sqrt(N) whose
directions are a Haar frame, of density ~ (1 - x^2/N)^((N-3)/2), with the correlations rho of R:

    E f(x_a) g(x_b) = sum_k f_k g_k P_k(rho),    f_k = E f(x) p_k(x),

p_k the orthonormal polynomials of x, Hermite's (Mehler, P_k = rho^k) or Gegenbauer's (Funk and
Hecke, P_k = p_k / p_k at rho = 1):

    x p_k = b_(k+1) p_(k+1) + b_k p_(k-1),    b_k^2 = N k (k+N-3) / ((2k+N-2) (2k+N-4)),
    rho P_k = a_k P_(k+1) + (1 - a_k) P_(k-1),    a_k = (k+N-2) / (2k+N-2).

The tail is at most sqrt(missing_a missing_b) max |P_k(rho)|, missing = E f^2 - sum f_k^2.
Homogeneous phi: closed forms, for x_a, x_b = r (cos u, cos v), r apart from the angles.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.gauss_legendre import panels
from deepinit.theory.layers import homogeneous, kinked
from deepinit.theory.layers.quadrature import Chain, applied
from deepinit.theory.numerics.entries import count_rows, entries
from deepinit.theory.numerics.normal_nodes import line_rule

_TERMS = 80
_HALF = 84  # steps of the quadrature on [0, 9]
_PANELS, _NODES = 8, 20  # of the angle, x = sqrt(N) sin(angle)
_RADIUS = 10.5  # the weight beyond it is 1e-24
_LARGEST_TAIL = 1e-10  # of a pair, or of a quadrature, relative; NaN beyond


def column_means(chain: Chain, variance: Any, dimensions: float = math.inf) -> tuple[Any, Any]:
    """E F_a [k] and E F_a F_b [p], R = variance [p]; NaN where the series or the quadrature does
    not resolve them.

    Args:
        dimensions: N.
    """
    where = entries(count_rows(variance.shape[0]))
    own = variance[where.diagonal]
    if len(chain) == 1 and chain[0].slopes is not None:
        return _homogeneous(chain[0].slopes, variance, dimensions)
    x, weights = _rule(chain, own, dimensions)
    values = applied(chain, jnp.sqrt(own)[:, None] * x)
    first, square = (jnp.sum(weights * part, axis=1) for part in (values, values**2))
    if isinstance(x, np.ndarray) and dimensions == math.inf:
        coarse = 2.0 * jnp.sum((weights * values**2)[:, ::2], axis=1)
        sound = (coarse / square - 1.0) ** 2 <= _LARGEST_TAIL  # error of all nodes: the square
        first, square = (jnp.where(sound, part, jnp.nan) for part in (first, square))
    second = jnp.zeros_like(variance).at[where.diagonal].set(square)
    if not len(where.mixed):
        return first, second
    coefficients = _coefficients(values * weights, x, dimensions)
    a, b = where.rows[where.mixed], where.columns[where.mixed]
    rho = variance[where.mixed] / jnp.sqrt(own[a] * own[b])
    series, last = _series(coefficients[:, a] * coefficients[:, b], rho, dimensions)
    missing = jnp.maximum(square - jnp.sum(coefficients**2, axis=0), 0.0)
    tail = last * jnp.sqrt(missing[a] * missing[b])
    resolved = tail <= _LARGEST_TAIL * jnp.sqrt(square[a] * square[b])
    series = series + jnp.where(rho > 0, tail, 0.0)  # exact at equal rows
    return first, second.at[where.mixed].set(jnp.where(resolved, series, jnp.nan))


def _homogeneous(slopes: tuple[float, float], variance: Any, dimensions: float) -> tuple[Any, Any]:
    where = entries(count_rows(variance.shape[0]))
    first, square = homogeneous.single(slopes)[:2]
    pairs = jax.vmap(functools.partial(homogeneous.product, slopes))(variance[where.neighbours])
    own, ratio = variance[where.diagonal], 1.0
    if dimensions < math.inf:  # E r / sqrt(N) over that of normal x
        log_ratio = math.lgamma(0.5 * dimensions) - math.lgamma(0.5 * (dimensions + 1))
        ratio = math.sqrt(0.5 * dimensions) * math.exp(log_ratio)
    return ratio * first(own), pairs.at[where.diagonal].set(square(own))


def _rule(chain: Chain, own: Any, dimensions: float) -> tuple[Any, Any]:
    """Nodes x and weights: [m] of all networks, or [k, m] between the kinks."""
    kinks = next((function.kinks for function in chain if function.kinks), ())
    if not kinks and dimensions == math.inf:
        return line_rule(_HALF)
    if not kinks:
        with jax.ensure_compile_time_eval():
            x, weights = _angles((), jnp.ones(()), dimensions)
        return np.asarray(x), np.asarray(weights)
    if dimensions == math.inf:
        z, weights = jax.vmap(functools.partial(kinked.line, kinks))(own)
        return z / jnp.sqrt(own)[:, None], weights
    return jax.vmap(lambda root: _angles(kinks, root, dimensions))(jnp.sqrt(own))


def _angles(kinks: tuple[float, ...], root: Any, dimensions: float) -> tuple[Any, Any]:
    """Panels of the angle, of density cos^(N-2)."""
    limit = min(0.5 * math.pi, _RADIUS / math.sqrt(dimensions))
    splits = jnp.clip(jnp.asarray(kinks) / (root * math.sqrt(dimensions)), -1.0, 1.0)
    fixed = jnp.linspace(-limit, limit, _PANELS + 1)
    edges = jnp.sort(jnp.concatenate([fixed, jnp.clip(jnp.arcsin(splits), -limit, limit)]))
    angle, weights = panels(edges, _NODES)
    density = jnp.cos(angle) ** (dimensions - 2) * weights
    return math.sqrt(dimensions) * jnp.sin(angle), density / jnp.sum(density)


def _coefficients(weighted: Any, x: Any, dimensions: float) -> Any:
    """f_k [terms, k]."""
    beta = _beta(dimensions)
    if isinstance(x, np.ndarray):
        rows = [np.ones_like(x), x / beta[1]]
        for k in range(1, _TERMS - 1):
            rows.append((x * rows[k] - beta[k] * rows[k - 1]) / beta[k + 1])
        return np.stack(rows) @ weighted.T

    def step(rows: Any, scales: Any) -> Any:
        before, now = rows
        below, above = scales
        return (now, (x * now - below * before) / above), jnp.sum(weighted * now, axis=1)

    start = (jnp.zeros_like(x), jnp.ones_like(x))
    return jax.lax.scan(step, start, (jnp.asarray(beta[:-1]), jnp.asarray(beta[1:])))[1]


def _beta(dimensions: float) -> np.ndarray:
    """b_k, k = 0, ..., terms."""
    k = np.arange(_TERMS + 1.0)
    if dimensions == math.inf:
        return np.sqrt(k)
    n, rest = dimensions, np.maximum((2 * k + dimensions - 2) * (2 * k + dimensions - 4), 1e-300)
    return np.sqrt(np.where(k > 0, n * k * np.maximum(k + n - 3, 0) / rest, 0.0))


def _series(products: Any, rho: Any, dimensions: float) -> tuple[Any, Any]:
    """sum_k products_k P_k(rho), and the larger of the last two |P_k|."""
    k = np.arange(float(_TERMS))
    share = np.ones(_TERMS)
    if dimensions < math.inf:
        share = np.where(k > 0, (k + dimensions - 2) / np.maximum(2 * k + dimensions - 2, 1), 1.0)

    def step(carry: Any, at: Any) -> Any:
        total, before, now = carry
        product, own = at
        return (total + product * now, now, (rho * now - (1.0 - own) * before) / own), None

    start = (jnp.zeros_like(rho), jnp.zeros_like(rho), jnp.ones_like(rho))
    (total, before, now), _ = jax.lax.scan(step, start, (products, jnp.asarray(share)))
    return total, jnp.maximum(jnp.abs(before), jnp.abs(now))
