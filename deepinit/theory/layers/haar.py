"""Averages over columns that a norm has made dependent.

RMSNorm or LayerNorm of n Gaussian columns leaves rows of products C and columns x = L q, with
L L^T = C and q the columns of sqrt(n) times a Haar frame, independent of C. For the average of u
over tuples of columns, m(C, mu) its mean for independent columns N(mu, C), and
W_ab,cd = C_ac C_bd + C_ad C_bc:

    mean = m - (1/2n) sum_ij W_ij d^2 m / dC_i dC_j,
    covariance = independent - (1/n) (dm/dC) W (dm/dC)^T - (1/n) (dm/dmu) C (dm/dmu)^T,

the last term for LayerNorm only, whose columns sum to 0. Both are laws of total mean and
covariance: independent columns N(0, R) are the frame times a random L, and average to m(R, 0).

One column of white rows has the density (1 - |q|^2/N)^((N - k - 2)/2), N = n, LayerNorm n - 1.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.theory.layers import kinked
from deepinit.theory.layers.columns import Chain, ColumnLaw, factors, product
from deepinit.theory.layers.entries import matrix_of, wick
from deepinit.theory.layers.quadrature import applied
from deepinit.theory.layers.tape import Tape
from deepinit.theory.numerics.entries import count_rows, entries
from deepinit.theory.numerics.normal_nodes import disk_rule, line_rule


def dependence(
    variance: Any, law: ColumnLaw, jets: list[Any], half: int, centred: bool
) -> tuple[Any, Any]:
    """n times covariance [d, d] and mean [d] less those of independent columns, d = p + k.

    Args:
        variance: [p], C.
        jets: of the law at `variance` (`Tape.jets`).
        half: steps of quadratures.
        centred: LayerNorm.
    """
    variance = jax.lax.stop_gradient(variance)
    matrix = matrix_of(variance)
    moved = [slopes(chain, variance, half) for chain in law.functions] if centred else []

    def mean(at: Any, shift: Any) -> Any:
        parts = factors(at, law, Tape(half, known=jets))
        for number, (slope, mixed) in enumerate(moved):
            part = parts[number]
            second = part.second + _symmetric(mixed * shift[:, None])
            parts[number] = part._replace(first=part.first + slope * shift, second=second)
        found = product(parts, law.scale)
        return jnp.concatenate([found.second, found.first])

    at = variance, jnp.zeros(len(matrix), variance.dtype)
    spread = wick(matrix)
    by_gram, by_mean = jax.jacfwd(mean, (0, 1))(*at)
    curved = jax.hessian(mean)(*at)
    lost = by_gram @ spread @ by_gram.T + by_mean @ matrix @ by_mean.T
    return -lost, -0.5 * jnp.einsum("iab,ab->i", curved, spread)


def _symmetric(mixed: Any) -> Any:
    """[k, k] -> [p], M_ab + M_ba."""
    where = entries(len(mixed))
    return mixed[where.rows, where.columns] + mixed[where.columns, where.rows]


def slopes(chain: Chain, variance: Any, half: int) -> tuple[Any, Any]:
    """E phi'(z_a) [k] and E phi'(z_a) phi(z_b) [k, k], z ~ N(0, variance [p])."""
    where = entries(count_rows(variance.shape[0]))
    own, size = variance[where.diagonal], len(where.diagonal)
    if not chain:
        return jnp.ones_like(own), jnp.zeros((size, size), own.dtype)
    if len(chain) == 1 and chain[0].slopes is not None:
        left, right = chain[0].slopes
        factor = 0.25 * (right**2 - left**2) * math.sqrt(2.0 / math.pi)
        root = jnp.sqrt(own)
        mixed = factor * (root[None, :] + matrix_of(variance) / root[:, None])
        return jnp.full_like(own, 0.5 * (left + right)), mixed
    phi = functools.partial(applied, chain)
    both = lambda z: jnp.stack(jax.jvp(phi, (z,), (jnp.ones_like(z),)))
    kinks = next((function.kinks for function in chain if function.kinks), ())

    def single(own: Any) -> Any:
        z, weights = kinked.line(kinks, own) if kinks else _line(own, half)
        value, slope = both(z)
        return slope @ weights, (slope * value) @ weights

    def pair(kernel: Any) -> Any:
        z_a, z_b, weights = kinked.plane(kinks, kernel) if kinks else _plane(kernel, half)
        return (both(z_a) * weights) @ both(z_b).T

    slope, square = jax.lax.map(single, own)
    off = where.rows != where.columns
    tables = jax.lax.map(pair, variance[where.neighbours[off]])
    a, b = where.rows[off], where.columns[off]
    mixed = jnp.diag(square).at[a, b].set(tables[:, 1, 0]).at[b, a].set(tables[:, 0, 1])
    return slope, mixed


def _line(own: Any, half: int) -> tuple[Any, Any]:
    nodes, weights = map(jnp.asarray, line_rule(half))
    return jnp.sqrt(own) * nodes, weights


def _plane(kernel: Any, half: int) -> tuple[Any, Any, Any]:
    rule = disk_rule(half)
    (u, v), weights = jnp.asarray(rule.nodes.T), jnp.asarray(rule.weights)
    a, c, b = kernel
    across = jnp.sqrt(jnp.maximum(b - c * c / a, 0.0))
    return jnp.sqrt(a) * u, c / jnp.sqrt(a) * u + across * v, weights
