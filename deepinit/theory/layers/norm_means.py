"""E F_a and E F_a F_b of columns normed over rows, at R of many networks, in JAX.

F = phi(f), f = c / r of a set of N values with |c|^2 = sum of c^2 and r^2 = |c|^2 / N + eps. Under
exp(-s |c|^2) the centred values, of covariance C, stay normal: C_s = C (1 + 2 s C)^-1, total
D = det(1 + 2 s C)^(-1/2). Powers of 1/r are integrals over s, thus for h(f_a, f_b)

    E h = h(0) + int ds/s D exp(-s N eps) <(1/2) lambda dh/dlambda>,    lambda^2 = 2 N s,

< > the mean of h(lambda x) over the circle, x_a = sqrt(C_s,aa) cos t, x_b = sqrt(C_s,bb)
cos(t - u), cos u the correlation in C_s. One rule for every number of rows and every C, singular
too: steps of ln s, whose strip of analyticity does not depend on C, and orders of cos t.
Homogeneous functions: <h> and first moments in closed form.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activation import Activation
from deepinit.theory.layers import homogeneous
from deepinit.theory.layers.entries import matrix_of
from deepinit.theory.layers.normed import Norm, centred_values, is_homogeneous, reduced_variance
from deepinit.theory.layers.quadrature import applied
from deepinit.theory.numerics.entries import count_rows, entries

_STEP, _BELOW, _ABOVE = 0.32, -16.0, 50.0  # of ln (s largest variance); a geometric tail below
_MOST_ANGLES = 64
LARGEST_GAP = 1e-5  # to half the nodes, relative; errors are its square


def norm_means(norm: Norm, chain: tuple[Activation, ...], variance: Any) -> tuple[Any, Any]:
    """E F_a [k] and E F_a F_b [p], R = variance [p].

    NaN where half the nodes differ by 1e-5, and for rows of two sets.
    """
    size = count_rows(variance.shape[0])
    positions = norm.positions or size
    starts = range(0, size, positions)
    matrix = matrix_of(variance)
    blocks = jnp.stack([matrix[at : at + positions, at : at + positions] for at in starts])
    first, second = jax.vmap(functools.partial(_of_set, norm, chain))(blocks)
    where, inside = entries(size), entries(positions)
    found = jnp.full((size, size), jnp.nan)
    for at, own in zip(starts, second, strict=True):
        found = found.at[at + inside.rows, at + inside.columns].set(own)
    return first.ravel(), found[where.rows, where.columns]


def _of_set(norm: Norm, chain: tuple[Activation, ...], matrix: Any) -> tuple[Any, Any]:
    """E F_a and E F_a F_b of the rows of a set, R = matrix."""
    rows = len(matrix)
    where = entries(rows)
    values = centred_values(norm._replace(positions=0), rows)
    num = len(values.basis)
    spectrum, axes = jnp.linalg.eigh(reduced_variance(values, matrix[where.rows, where.columns]))
    spectrum = jnp.maximum(spectrum, 0.0)
    loads = (values.basis @ axes)[:rows]  # channels are alike
    products = loads[where.rows] * loads[where.columns]
    of_circle = _homogeneous if is_homogeneous(chain) else _smooth

    def term(s: Any) -> Any:
        grown = 1.0 + 2.0 * s * spectrum
        tilted = products @ (spectrum / grown)
        density = jnp.exp(-0.5 * jnp.sum(jnp.log(grown)) - s * num * norm.eps)
        return density * of_circle(chain, tilted, num, num * s)

    def add(totals: Any, node: Any) -> tuple[Any, None]:
        log_s, weights = node
        found = term(jnp.exp(log_s) / spectrum[-1])
        return totals + weights[:, None] * found, None

    logs = np.arange(_BELOW, _ABOVE, _STEP)
    even = np.arange(len(logs)) % 2 == 0
    weights = jnp.asarray(_STEP * np.stack([np.ones(len(logs)), 2.0 * even], axis=1))
    start = _tails(term(math.exp(_BELOW) / spectrum[-1]), rows, is_homogeneous(chain))
    fine, coarse = jax.lax.scan(add, start, (jnp.asarray(logs), weights))[0]
    at_zero = applied(chain, jnp.zeros(()))
    first, second = at_zero + fine[:rows], at_zero**2 + fine[rows:]
    root = jnp.sqrt(second[where.diagonal])
    scale = jnp.concatenate([root, root[where.rows] * root[where.columns]])
    resolved = jnp.all(jnp.abs(fine - coarse) <= LARGEST_GAP * scale)
    return jnp.where(resolved, first, jnp.nan), jnp.where(resolved, second, jnp.nan)


def _tails(first_term: Any, rows: int, is_homogeneous: bool) -> Any:
    """Sums over the steps below the first, of powers of s: [2, k + p], of all steps and half."""
    power = np.ones(first_term.shape[1])
    if is_homogeneous:
        power[:rows] = 0.5
    step = _STEP * np.array([[1.0], [2.0]])
    return step * first_term / np.expm1(step * power)


def _homogeneous(chain: tuple[Activation, ...], tilted: Any, num: int, num_s: Any) -> Any:
    """sqrt(N s / pi) E phi_a and N s E phi_a phi_b under C_s = tilted [p], twice: [2, k + p]."""
    del num
    slopes = (chain[0].slopes if chain else None) or (1.0, 1.0)
    single, square, *_ = homogeneous.single(slopes)
    where = entries(count_rows(len(tilted)))
    own = tilted[where.diagonal]
    second = jnp.zeros_like(tilted).at[where.diagonal].set(square(own))
    if len(where.mixed):
        kernel = tuple(tilted[where.neighbours[where.mixed]].T)
        second = second.at[where.mixed].set(homogeneous.product(slopes, kernel))
    found = jnp.concatenate([jnp.sqrt(num_s / math.pi) * single(own), num_s * second])
    return jnp.stack([found, found])


def _smooth(chain: tuple[Activation, ...], tilted: Any, num: int, num_s: Any) -> Any:
    """Means over the circle; rows are all nodes and half the cosines, [2, k + p]."""
    where = entries(count_rows(len(tilted)))
    own, a, b = tilted[where.diagonal], where.rows, where.columns
    count = min(2 * (8 + num), _MOST_ANGLES)
    cosines, basis = _cosines(count)
    f = jnp.sqrt(2.0 * num_s * own)[:, None] * cosines
    value, slope = jax.jvp(functools.partial(applied, chain), (f,), (f,))
    value, slope = value @ basis.T, slope @ basis.T  # [k, m]
    own = jnp.maximum(own, np.finfo(float).tiny)
    rho = jnp.clip(tilted / jnp.sqrt(own[a] * own[b]), -1.0, 1.0)
    parts = 0.5 * (value[a] * slope[b] + slope[a] * value[b])
    half, series, before, now = jnp.zeros_like(rho), jnp.zeros_like(rho), rho, jnp.ones_like(rho)
    for m in range(count):
        series = series + parts[:, m] * now
        before, now = now, 2.0 * rho * now - before
        if m + 1 == count // 2:
            half = series
    first = 0.5 * slope[:, 0]
    return jnp.stack([jnp.concatenate([first, each]) for each in (series, half)])


@functools.lru_cache(maxsize=16)
def _cosines(count: int) -> tuple[np.ndarray, np.ndarray]:
    """cos t at Gauss-Chebyshev nodes, [m], and cos j t, orthonormal, over m [j, m]."""
    angles = math.pi * (np.arange(count) + 0.5) / count
    orders = np.arange(count)
    factor = np.where(orders > 0, math.sqrt(2.0), 1.0) / count
    return np.cos(angles), factor[:, None] * np.cos(np.outer(orders, angles))
