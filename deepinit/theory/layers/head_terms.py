"""Fluctuations of attention heads of exact mean 0 given the rows, at every head width.

Of one head, S [k, k] the scores of all rows, X(S) = A v G A^T, A = softmax(S) over what a row sees,
o = A V with columns of V ~ N(0, v G), Cov(S_ts, S_t's') = s G_tt' G_ss':

    E[o o^T / d | S] = X(S).

Queries and keys keep their law under E diag(+-1) E^T, E the eigenvectors of G = E diag(l) E^T. With
X' the mean of X(E diag(a) E^T S E diag(b) E^T) over signs a, b, and y = E^T S E,

    o o^T / d - X' + sum_ij w_ij (y_ij^2 / c_ij - 1),    c_ij = E y_ij^2 = s l_i l_j,

has mean 0 whatever the w are. Half the slopes of X' by y_ij^2 / c_ij, at |y| = 1.2 sqrt(c), make it
follow o o^T / d: its variance is that of the remainder, 1/20 to 1/2000 of the output's at s = 1.

Scores of turned queries and keys keep their law only under a common sign. There X' is the mean of
X(S) and X(-S), and the second derivative of X at S = 0 follows it.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rotations import Rates, turned_scores

_NODE = 1.2
_LEAST = 1e-6  # of c over its largest, below which y is rounding


def head_terms(
    scores: Any, outputs: Any, gram: Any, spread: float, value_variance: float, seen: np.ndarray
) -> Any:
    """o o^T / d less its mean, up to a remainder: [heads, p].

    Args:
        scores: S [heads, k, k].
        outputs: o o^T / d [heads, p].
        gram: G [p].
        spread, value_variance: s and v.
        seen: [k, k], whether row t sees s.
    """
    variances, vectors = jnp.linalg.eigh(matrix_of(gram))
    size = spread * jnp.outer(variances, variances)
    values = value_variance * matrix_of(gram)
    root = jnp.sqrt(jnp.maximum(size, 0.0))
    node = _NODE * vectors @ root @ vectors.T
    every = jnp.concatenate([scores, node[None]])

    def add(total: Any, signs: Any) -> tuple[Any, None]:
        a, b = signs
        turned = ((vectors * a) @ vectors.T) @ every @ ((vectors * b) @ vectors.T)
        shares = jax.nn.softmax(jnp.where(seen, turned, -jnp.inf), axis=-1)
        mixed = shares @ values @ jnp.swapaxes(shares, 1, 2)
        along = (_slopes(shares[-1], mixed[-1], values) @ vectors) * b
        return (total[0] + mixed[:-1], total[1] + a[:, None, None, None] * along), None

    k, first, second = len(values), *_signs(len(values))
    start = jnp.zeros_like(scores), jnp.zeros((k,) * 4, scores.dtype)
    (mean, along), _ = jax.lax.scan(add, start, (jnp.asarray(first), jnp.asarray(second)))
    half = 0.5 * jnp.einsum("ti,itsj->tsij", vectors, along) * root / (_NODE * len(first))
    weights = jnp.where(size > _LEAST * jnp.max(size), half, 0.0)
    weights = weights + jnp.swapaxes(weights, 0, 1)
    squares = (vectors.T @ scores @ vectors) ** 2 / jnp.where(size > 0, size, 1.0) - 1.0
    quadratic = jnp.einsum("hij,tsij->hts", squares, weights)
    return outputs + jax.vmap(vector_of)(quadratic - mean / len(first))


def turned_terms(
    scores: Any,
    outputs: Any,
    gram: Any,
    spread: float,
    value_variance: float,
    seen: np.ndarray,
    length: int,
    rates: Rates,
) -> Any:
    """`head_terms` of rotary embeddings (`rotations`), at every head width."""
    products = matrix_of(gram)
    values, shares = value_variance * products, jnp.asarray(seen / seen.sum(axis=1, keepdims=True))

    def mixed(scores: Any) -> Any:
        shares = jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
        return shares @ values @ jnp.swapaxes(shares, 1, 2)

    def curved(second: Any, own: Any) -> Any:
        """d^2 X / 2 at S = 0, of products of centred scores of both rows, and of one."""
        change = shares * (own - jnp.sum(shares * own, axis=-1, keepdims=True))
        along = 0.5 * change @ values @ shares.T
        return second + along + jnp.swapaxes(along, -1, -2)

    centred = scores - jnp.sum(shares * scores, axis=-1, keepdims=True)
    weighted = shares * centred
    drawn = curved(weighted @ values @ jnp.swapaxes(weighted, 1, 2), centred**2)
    centring = jnp.eye(len(values)) - shares[:, None]  # [t, s, r]
    covariance = spread * turned_scores(products, length, rates)
    covariance = jnp.einsum("tsr,trup,uqp->tsuq", centring, covariance, centring)
    crossed = jnp.einsum("tsuq,ts,sq,uq->tu", covariance, shares, values, shares)
    expected = curved(crossed, jnp.einsum("tsts->ts", covariance))
    remainder = drawn - expected - 0.5 * (mixed(scores) + mixed(-scores))
    return outputs + jax.vmap(vector_of)(remainder)


def _slopes(shares: Any, mixed: Any, values: Any) -> Any:
    """[k, k, k], of X_ts = a_t v a_s by row t of the scores."""
    along = shares @ values
    return shares[:, None, :] * (along[None] - mixed[:, :, None])


def _signs(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """[R, k] each: all signs of up to 3 rows and columns equally often, up to a common one."""
    table: Any = np.ones((1, 1))
    while len(table) < rows:
        table = np.kron([[1.0, 1.0], [1.0, -1.0]], table)
    table = table[:, :rows]
    both = np.concatenate([table, -table])
    return np.repeat(both, len(table), axis=0), np.tile(table, (len(both), 1))
