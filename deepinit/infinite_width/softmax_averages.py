"""Averages of A = softmax(S), A' = softmax(S') over the positions that one pair of rows sees,
(S, S') jointly Gaussian.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Averages(NamedTuple):
    """Averages over scores: products E A_s A'_s';
    slopes sum_ss' E[dA_s/dS_r dA'_s'/dS'_r'] G_ss', or None.
    """

    products: Any
    slopes: Any


def softmax_averages(
    scores: Any, seen: Any, values: Any, nodes: Any, weights: Any, with_slopes: bool
) -> Averages:
    """E A_s A'_s' and, with dA_s/dS_r = A_s (1[s=r] - A_r), what tangent kernels need.

    `scores`: [2, T, 2, T], covariance of (S, S'). `seen`: positions of nonzero weight. `values`: G,
    covariance of the values. `nodes`, `weights`: [N, D] and [N]; D at least the rank of score
    differences.
    """
    length = len(values)
    samples = nodes @ covariance_root(_centred(scores, seen), nodes.shape[1]).T
    samples = jnp.where(seen, samples.reshape(-1, 2, length), -jnp.inf)
    both = jax.nn.softmax(samples, axis=-1)
    left, right = both[:, 0], both[:, 1]
    weighted = weights[:, None] * left
    products = weighted.T @ right
    if not with_slopes:
        return Averages(products, None)
    keys, others = right @ values.T, left @ values  # G A' and A G
    total = jnp.sum(left * keys, axis=1, keepdims=True)
    own = (weighted * (total - keys)).T @ right
    return Averages(products, values * products + own - weighted.T @ (right * others))


def _centred(scores: Any, seen: Any) -> Any:
    """Covariance [2 T, 2 T] of scores less their mean over the positions seen."""
    length = seen.shape[1]
    shares = seen / jnp.sum(seen, axis=1, keepdims=True)
    centring = jnp.eye(length) * seen[:, :, None] - seen[:, :, None] * shares[:, None, :]
    centred = jnp.einsum("ist,itju,jvu->isjv", centring, scores, centring)
    return centred.reshape(2 * length, 2 * length)


def covariance_root(matrix: Any, rank: int) -> Any:
    """R [n, rank] with R R^T = matrix, largest eigenvalues first."""
    values, vectors = jnp.linalg.eigh(0.5 * (matrix + matrix.T))
    root = vectors * jnp.sqrt(jnp.maximum(values, 0.0))
    return root[:, ::-1][:, :rank]
