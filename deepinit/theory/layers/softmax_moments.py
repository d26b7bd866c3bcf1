"""Averages of softmax attention over Gaussian scores, with derivatives by the scores' law.

k rows (inputs x T positions); Cov(S_as, S_bs') = q_ab k_ss', s a position of a's input, s' of b's.
With A = softmax(S), row by row over the positions it sees, X = A v A^T:

    M = E X,    dE f / dCov_ij = (1/2) E f_ij,    d^2 E f / dCov_ij dCov_kl = (1/4) E f_ijkl,

derivatives of f by scores (`softmax_derivatives`); rank-deficient rows too.
"""

import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rotations import Rates, key_covariance, turn
from deepinit.theory.layers.softmax_derivatives import averages
from deepinit.theory.numerics.entries import count_rows, entries
from deepinit.theory.numerics.gaussian_rules import two_rules


class Mixed(NamedTuple):
    """Of the p entries of X; x = (v, q, k), 3 p numbers.

    Attributes:
        value, gradient, hessian: of M by x, [p], [p, 3 p], [p, 3 p, 3 p].
        covariance, products: [p, p], of X_ab and X_cd.
        error: [2], relative, of M and of its derivatives.
        key_bias, key_spread: with rotations [p], [p, p]: d times mean shift and covariance of M by
            fluctuations of the keys of one head of width d.
    """

    value: Any
    gradient: Any
    hessian: Any
    covariance: Any
    products: Any
    error: Any
    key_bias: Any = 0.0
    key_spread: Any = 0.0


def mixed(x: Any, seen: np.ndarray, rates: Rates | None = None) -> Mixed:
    """Moments of X = A v A^T.

    Args:
        x: [3 p], v, q and k.
        seen: [T, T], whether position t sees s.
        rates: of `rotations`; None for none, and keys k of a head that are given.
    """
    x = jax.lax.stop_gradient(x)
    where = entries(matrix_of(x[: len(x) // 3]).shape[0])
    pairs = np.stack([where.rows, where.columns], axis=1)
    ranks = _ranks(seen)
    exact = np.array([_rank(ranks, a, b) for a, b in pairs])
    grouped = np.where(exact <= 2, 2, exact.max(initial=2))  # few compilations
    size = len(x)
    keys: Any = None
    shapes = [(len(pairs), *(size,) * order) for order in range(3)]
    if rates is not None:
        keys = key_covariance(matrix_of(jnp.split(x, 3)[2]), len(seen), rates)
        shapes += [shapes[0], (len(pairs), len(keys))]
    found = [jnp.zeros((2, *shape), x.dtype) for shape in shapes]
    for rank in sorted(set(grouped)):
        at = np.flatnonzero(grouped == rank)
        one = lambda pair, rank=rank: _pair(x, pair, seen, int(rank), rates, keys)
        parts = jax.lax.map(one, jnp.asarray(pairs[at]))
        found = [
            whole.at[:, at].set(jnp.moveaxis(part, 1, 0))
            for whole, part in zip(found, parts, strict=True)
        ]
    gaps = [jnp.max(jnp.abs(part[0] - part[1])) / jnp.max(jnp.abs(part[0])) for part in found]
    value, gradient, hessian, *of_keys = (part.mean(axis=0) for part in found)
    error = jnp.stack([gaps[0], jnp.maximum(gaps[1], gaps[2])])
    own = Mixed(value, gradient, hessian, *_products(x, seen, rates), error)
    if not of_keys:
        return own
    bias, slopes = of_keys
    return own._replace(key_bias=bias, key_spread=slopes @ keys @ slopes.T)


def haar_bias(x: Any, seen: np.ndarray) -> Any:
    """d (E X - M), of order 1, for scores sqrt(d) L_q Y L_k^T, Y an [r, s] corner of a rotation.

    E f(Y) c(Y) over normal Y, c = (r + s + 1) tr Y Y^T / 2 - tr (Y Y^T)^2 / 4 less its mean.
    """
    x = jax.lax.stop_gradient(x)
    v, of_queries, of_keys = (matrix_of(part) for part in jnp.split(x, 3))
    length, where = len(seen), entries(len(v))
    columns = max(int(_ranks(seen).max()) * min(len(v) // length, 2), 1)
    nodes, weights = (part[0] for part in two_rules(2 * columns))
    y = nodes.reshape(-1, 2, columns)
    square = np.einsum("nrc,nsc->nrs", y, y)
    trace = np.trace(square, axis1=1, axis2=2)
    c = 0.5 * (columns + 3) * trace - 0.25 * np.sum(square**2, axis=(1, 2))
    y, c = jnp.asarray(y), jnp.asarray(weights * (c - weights @ c))

    def one(pair: Any) -> Any:
        keys = pair[:, None] // length * length + jnp.arange(length)
        visible = jnp.asarray(seen)[pair % length]
        joint = of_keys[keys.ravel()[:, None], keys.ravel()]
        root = _root(joint, visible, columns)
        near = of_queries[pair[:, None], pair]
        low = near[0, 1] / jnp.sqrt(near[0, 0])
        own = jnp.sqrt(jnp.maximum(near[1, 1] - low**2, 0.0))
        rotated = jnp.stack([jnp.sqrt(near[0, 0]) * y[:, 0], low * y[:, 0] + own * y[:, 1]], axis=1)
        scores = jnp.einsum("nrc,rtc->nrt", rotated, root.reshape(2, length, columns))
        a, b = jnp.moveaxis(jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1), 1, 0)
        return c @ jnp.sum((a @ v[keys[0][:, None], keys[1]]) * b, axis=1)

    return jax.lax.map(one, jnp.asarray(np.stack([where.rows, where.columns], axis=1)))


def is_sampled(seen: np.ndarray) -> bool:
    """Whether some averages are over Sobol points."""
    ranks = _ranks(seen)
    return max(a + b for a, b in itertools.combinations([*ranks, 0], 2)) > 4


def _ranks(seen: np.ndarray) -> np.ndarray:
    """Of the score differences of a row, [T]."""
    return seen.sum(axis=1) - 1


def _rank(ranks: np.ndarray, a: int, b: int) -> int:
    one, other = ranks[a % len(ranks)], ranks[b % len(ranks)]
    return int(one if a == b else one + other)


def _pair(
    x: Any, pair: Any, seen: np.ndarray, rank: int, rates: Rates | None, noise: Any
) -> tuple[Any, ...]:
    """E X_ab [2], gradient [2, 3 p] and Hessian [2, 3 p, 3 p], by two rules.

    With rotations also d times the bias [2] and slopes by K [2, ...] (`rotations`), of covariance
    `noise`.
    """
    length, third = len(seen), len(x) // 3
    at = jnp.asarray(entries(count_rows(third)).at)
    keys = pair[:, None] // length * length + jnp.arange(length)  # [2, T]
    visible = jnp.asarray(seen)[pair % length]
    v = x[at[keys[0][:, None], keys[1]]]
    v_slope = jax.nn.one_hot(at[keys[0][:, None], keys[1]].ravel(), len(x))
    shape = (2, length, 2, length)
    of_queries = third + jnp.broadcast_to(at[pair[:, None], pair][:, None, :, None], shape).ravel()
    of_keys = 2 * third + at[keys[:, :, None, None], keys].ravel()
    to_queries, to_keys = (jax.nn.one_hot(where, len(x)) for where in (of_queries, of_keys))
    turned, near = _turned(pair, length, count_rows(third), rates)
    queries = turned * x[of_queries]
    c_slope = turned[:, None] * to_queries * x[of_keys][:, None] + to_keys * queries[:, None]
    covariance = (queries * x[of_keys]).reshape(2 * length, 2 * length)
    root = _root(covariance, visible, rank)

    def by(rule: tuple[Any, Any]) -> tuple[Any, ...]:
        nodes, weights = rule
        scores = jnp.where(visible, (nodes @ root.T).reshape(-1, 2, length), -jnp.inf)
        a, b = jnp.moveaxis(jax.nn.softmax(scores, axis=-1), 1, 0)
        found = averages(a, b, v, weights)
        share = found.shares.ravel()
        by_share = 0.5 * found.curved_shares.reshape(len(share), -1)
        slope = v.ravel() @ by_share
        across = v_slope.T @ by_share @ c_slope
        curved = 0.25 * c_slope.T @ found.fourth.reshape(len(slope), -1) @ c_slope
        both = to_queries.T @ ((slope * turned)[:, None] * to_keys)
        hessian = across + across.T + curved + both + both.T
        own = share @ v.ravel(), share @ v_slope + slope @ c_slope, hessian
        if near is None:
            return own
        by_keys = x[of_queries]
        within = noise[near[:, None], near] * by_keys[:, None] * by_keys
        bias = 0.125 * jnp.sum(found.fourth.reshape(within.shape) * within)
        return *own, bias, jnp.zeros(len(noise), x.dtype).at[near].add(slope * by_keys)

    return jax.lax.map(by, tuple(map(jnp.asarray, two_rules(max(rank, 1)))))


def _turned(pair: Any, length: int, count: int, rates: Rates | None) -> tuple[Any, Any]:
    """w of entries [2, T, 2, T], flattened, and places of K^D_ss' in `key_covariance`."""
    if rates is None:
        return jnp.ones(4 * length**2), None
    rows = pair % length
    difference = (rows[:, None] - rows + length - 1)[:, None, :, None]
    at = np.arange(length)
    shifts = difference - at[:, None, None] + at
    turned = jnp.asarray(turn(np.arange(-2 * length, 2 * length), rates))[shifts + length + 1]
    keys = pair[:, None] // length * length + at
    near = (difference * count + keys[:, :, None, None]) * count + keys
    return turned.ravel(), near.ravel()


def _root(covariance: Any, visible: Any, rank: int) -> Any:
    """R [n, rank], R R^T the covariance of scores less their means over visible ones."""
    shares = visible / jnp.sum(visible, axis=1, keepdims=True)
    centring = jax.vmap(lambda seen, share: jnp.diag(1.0 * seen) - jnp.outer(seen, share))
    matrix = jax.scipy.linalg.block_diag(*centring(visible, shares))
    values, vectors = jnp.linalg.eigh(matrix @ covariance @ matrix.T)
    values, vectors = values[::-1][:rank], vectors[:, ::-1][:, :rank]
    return vectors * jnp.sqrt(jnp.maximum(values, 0.0))


def _products(x: Any, seen: np.ndarray, rates: Rates | None) -> tuple[Any, Any]:
    """[p, p], Cov(X_ab, X_cd) and E X_ab X_cd, of all rows at once."""
    v, of_queries, of_keys = (matrix_of(part) for part in jnp.split(x, 3))
    count = len(v)
    visible = np.kron(np.eye(count // len(seen), dtype=bool), seen)
    rank = int((visible.sum(axis=1) - 1).sum())
    scores = jnp.kron(of_queries, of_keys)
    if rates is not None:
        t, s = np.indices((count, count)).reshape(2, -1) % len(seen)
        scores = scores * turn(t[:, None] - t - s[:, None] + s, rates)
    root = _root(scores, jnp.asarray(visible), rank)

    def by(rule: tuple[Any, Any]) -> tuple[Any, Any]:
        nodes, weights = rule
        scores = jnp.where(visible, (nodes @ root.T).reshape(-1, count, count), -jnp.inf)
        shares = jax.nn.softmax(scores, axis=-1)
        outputs = jax.vmap(vector_of)(shares @ v @ jnp.swapaxes(shares, 1, 2))
        products = (outputs * weights[:, None]).T @ outputs
        mean = weights @ outputs
        return products - jnp.outer(mean, mean), products

    both = jax.lax.map(by, tuple(map(jnp.asarray, two_rules(max(rank, 1)))))
    return both[0].mean(axis=0), both[1].mean(axis=0)
