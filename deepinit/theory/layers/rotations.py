"""Rotary position embeddings: covariances of scores, and their fluctuations with one head's keys.

Queries and keys of position t are turned by t theta_f in d/2 planes f. Given the keys of a head,

    Cov(S_ts, S_t's') = c^2 d q_tt' K^D_ss',    D = t - t',
    K^D_ss' = (1 / d) sum_f k_fs R(theta_f x) k_fs',    x = D - s + s',

with k_fs two normals of covariance k_ss' and R a rotation. With w(x) = (2 / d) sum_f cos(theta_f x)

    E K^D_ss' = k_ss' w(x),
    d Cov(K^D_ss', K^D'_uu') = k_su k_s'u' w(x - y) + k_su' k_s'u w(x + y),    y = D' - u + u'.

Without rotations w = 1: a Wishart matrix.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Attention

Rates = tuple[float, ...]


def rates_of(layer: Attention, width: int) -> Rates:
    """theta_f of heads of width d."""
    assert layer.rotary is not None
    half = width // 2
    return tuple((layer.rotary ** (-np.arange(half) / half)).tolist())


def turn(shifts: Any, rates: Rates) -> np.ndarray:
    """w at integers [...]."""
    shifts = np.asarray(shifts)
    largest = int(np.abs(shifts).max(initial=0))
    return np.cos(np.outer(np.arange(largest + 1), rates)).mean(axis=1)[np.abs(shifts)]


def turned_scores(gram: Any, length: int, rates: Rates) -> Any:
    """G_tt' G_ss' w(t - t' - s + s') [k, k, k, k], of S_ts and S_t's' at mean keys."""
    position = np.arange(len(gram)) % length
    shifts = position[:, None] - position  # t - s
    turned = jnp.asarray(turn(shifts[:, :, None, None] - shifts, rates))
    return gram[:, None, :, None] * gram[None, :, None, :] * turned


def key_covariance(keys: Any, length: int, rates: Rates) -> Any:
    """d Cov of K^D_ss', flattened [D + T - 1, s, s'] over k rows of T positions."""
    count = len(keys)
    difference, s, t = np.indices((2 * length - 1, count, count)).reshape(3, -1)
    x = difference - (length - 1) - s % length + t % length
    near = lambda left, right: keys[np.ix_(left, right)]
    straight = near(s, s) * near(t, t) * turn(x[:, None] - x, rates)
    return straight + near(s, t) * near(t, s) * turn(x[:, None] + x, rates)
