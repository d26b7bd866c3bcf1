"""E F_a and E F_a F_b of columns F = phi(z), z ~ N(0, R), at R of many networks, in JAX.

Homogeneous: closed forms. Others: rows alone by quadrature, pairs by Mehler's series
    E phi(z_a) phi(z_b) = sum_k rho^k c_k(a) c_k(b),    c_k(a) = E phi(sqrt(R_aa) Z) h_k(Z),
rho the correlation, h_k the orthonormal Hermite polynomials. Its tail is at most
|rho|^K sqrt(missing_a missing_b), missing = E phi^2 - sum_{k<K} c_k^2.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers import homogeneous, kinked
from deepinit.theory.layers.quadrature import Chain, applied
from deepinit.theory.numerics.entries import count_rows, entries
from deepinit.theory.numerics.normal_nodes import line_rule

_TERMS = 80
_HALF = 84  # steps of the quadrature on [0, 9]
LARGEST_TAIL = 1e-10  # of a pair, relative; NaN beyond


def column_means(chain: Chain, variance: Any) -> tuple[Any, Any]:
    """E F_a [k] and E F_a F_b [p], R = variance [p]; NaN where the series does not resolve them."""
    where = entries(count_rows(variance.shape[0]))
    own = variance[where.diagonal]
    if len(chain) == 1 and chain[0].slopes is not None:
        slopes = chain[0].slopes
        single = homogeneous.single(slopes)
        pairs = jax.vmap(functools.partial(homogeneous.product, slopes))(variance[where.neighbours])
        return single[0](own), pairs.at[where.diagonal].set(single[1](own))
    first, square, coefficients = _rows(chain, own)
    second = jnp.zeros_like(variance).at[where.diagonal].set(square)
    if not len(where.mixed):
        return first, second
    a, b = where.rows[where.mixed], where.columns[where.mixed]
    rho = variance[where.mixed] / jnp.sqrt(own[a] * own[b])
    series = jnp.zeros_like(rho)
    for k in reversed(range(_TERMS)):
        series = series * rho + coefficients[a, k] * coefficients[b, k]
    missing = jnp.maximum(square - jnp.sum(coefficients**2, axis=1), 0.0)
    tail = jnp.abs(rho) ** _TERMS * jnp.sqrt(missing[a] * missing[b])
    resolved = tail <= LARGEST_TAIL * jnp.sqrt(square[a] * square[b])
    return first, second.at[where.mixed].set(jnp.where(resolved, series, jnp.nan))


def _rows(chain: Chain, own: Any) -> tuple[Any, Any, Any]:
    """E F [k], E F^2 [k], c [k, terms]."""
    kinks = next((function.kinks for function in chain if function.kinks), ())
    if kinks:
        z, weights = jax.vmap(functools.partial(kinked.line, kinks))(own)
        basis = jnp.stack(_hermite(z / jnp.sqrt(own)[:, None]))
        values = applied(chain, z)
        coefficients = jnp.einsum("am,kam->ak", values * weights, basis)
    else:
        nodes, mass = line_rule(_HALF)
        weights = jnp.broadcast_to(jnp.asarray(mass), (len(own), len(mass)))
        values = applied(chain, jnp.sqrt(own)[:, None] * nodes)
        coefficients = (values * weights) @ _standard_hermite().T
    return jnp.sum(values * weights, axis=1), jnp.sum(values**2 * weights, axis=1), coefficients


def _hermite(z: Any) -> list[Any]:
    """h_k(z): sqrt(k + 1) h_(k+1) = z h_k - sqrt(k) h_(k-1)."""
    rows = [0.0 * z + 1.0, z]
    for k in range(1, _TERMS - 1):
        rows.append((z * rows[k] - math.sqrt(k) * rows[k - 1]) / math.sqrt(k + 1))
    return rows


@functools.lru_cache(maxsize=1)
def _standard_hermite() -> np.ndarray:
    """[terms, nodes]."""
    return np.stack(_hermite(line_rule(_HALF)[0]))
