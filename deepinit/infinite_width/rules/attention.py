"""Softmax attention, for infinitely many heads of infinite width.

Scores of rows t, t' of inputs a, b are Gaussian: Cov(S_ts, S_t's') = c^2 d q_tt' k_ss'
w(t - t' - s + s'), q and k the covariances of queries and keys between a and b, w of rotary
embeddings. A = softmax(S), v the value variance, J = dA/dS:
    cov' = v E[A cov A'^T],
    ntk' = v E[A (cov + ntk) A'^T] + v sum E[(J^T cov J')_rr'] ntk_S(tr, t'r'),
ntk_S = c^2 d w (t_q k + q t_k), t_q = v_q (cov + ntk) and t_k of queries and keys. `mup` scores
keep c^2 d = beta^2 / d at the head width d.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Attention, head_width_of, score_factor
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Dense
from deepinit.infinite_width.entries import by_entries
from deepinit.infinite_width.random_maps import random_map
from deepinit.infinite_width.random_nodes import random_nodes
from deepinit.infinite_width.rules_table import INFINITE, entry_variance
from deepinit.infinite_width.softmax_averages import softmax_averages
from deepinit.infinite_width.states import Kernel, State, absorbed, on_ntk


class _Scores(NamedTuple):
    """Scale c^2 d times variances of queries and keys; turn w(x) at x + 2 (T - 1); seen[t, s]."""

    scale: float
    turn: Any
    seen: np.ndarray
    normed: bool


@INFINITE.rule(Attention)
def _attention(layer: Attention, state: State, shape: Shape, depth: int, path: str) -> State:
    assert shape.width is not None
    width = head_width_of(layer, shape.width)
    variance = lambda name: (
        entry_variance(layer, name, shape.width or 0, depth, path) * (shape.width or 0)
    )
    scale = score_factor(layer, width) ** 2 * width
    if not layer.qk_norm:
        scale = scale * variance("query_law") * variance("key_law")
    length = shape.num_positions
    scores = _Scores(scale, _turn(layer, width, length), _seen(layer, length), layer.qk_norm)
    mixed = _mixed(scores, variance("value_law"), absorbed(state))
    return random_map(Dense(shape.width, layer.output_law), mixed, layer.heads * width, depth, path)


def _mixed(scores: _Scores, value_variance: float, state: State) -> State:
    """Kernels of the heads' outputs."""
    differences = scores.seen.sum(1) - 1
    ranks = differences[:, None] + differences
    # nodes of rank 2 are cheap and exact; the others share the largest
    rank = lambda exact: np.where(exact <= 2, 2, exact.max(initial=2))

    def entry(rank: int, left: Kernel, right: Kernel, both: Kernel, t: Any, u: Any) -> Kernel:
        nodes = random_nodes(rank, state.replica)
        cov, ntk = _entry(scores, nodes, left.cov, right.cov, both, t, u)
        return Kernel(value_variance * cov, on_ntk(lambda ntk: value_variance * ntk, ntk))

    own_ranks = np.where(np.eye(len(ranks), dtype=bool), differences, ranks)
    mixed = by_entries(state, entry, rank(own_ranks), rank(ranks))
    return mixed.replace(mean=jnp.zeros_like(state.mean), sampled=state.sampled or len(ranks) > 1)


def _entry(
    scores: _Scores, nodes: tuple[Any, Any], left: Any, right: Any, both: Kernel, t: Any, u: Any
) -> tuple[Any, Any]:
    """E[A cov A'^T] and its tangent kernel for rows t of one input, u of another.

    `left`, `right`: cov within the inputs. `both`: kernels between them.
    """
    length = len(left)
    at = np.arange(length)
    scale_left, scale_right = _scales(scores, left), _scales(scores, right)
    normed = lambda block, first, second: first[:, None] * block * second
    keys = normed(both.cov, scale_left, scale_right)
    turned = lambda shift: scores.scale * scores.turn[shift - at[:, None] + at + 2 * (length - 1)]
    across = turned(t - u) * keys
    own = lambda block, scale, row: (
        turned(0) * normed(block, scale, scale) * block[row, row] * scale[row] ** 2
    )
    joint = jnp.stack(
        [
            jnp.stack([own(left, scale_left, t), keys[t, u] * across], axis=1),
            jnp.stack([keys[t, u] * across.T, own(right, scale_right, u)], axis=1),
        ]
    )
    with_ntk = both.ntk is not None
    seen = jnp.asarray(scores.seen)[jnp.stack([t, u])]
    averages = softmax_averages(joint, seen, both.cov, nodes[0], nodes[1], with_ntk)
    cov = jnp.sum(averages.products * both.cov)
    if not with_ntk:
        return cov, None
    after = both.cov + both.ntk  # of a random linear map of variance 1
    tangents = normed(after, scale_left, scale_right)
    of_scores = tangents[t, u] * across + keys[t, u] * turned(t - u) * tangents
    return cov, jnp.sum(averages.products * after) + jnp.sum(averages.slopes * of_scores)


def _scales(scores: _Scores, block: Any) -> Any:
    """Factors of queries and keys: 1, or 1 / size (`qk_norm`)."""
    variance = jnp.diagonal(block)
    if not scores.normed:
        return jnp.ones_like(variance)
    return jnp.where(variance > 0, 1.0 / jnp.sqrt(jnp.where(variance > 0, variance, 1.0)), 0.0)


def _turn(layer: Attention, width: int, length: int) -> Any:
    """w(x) = (2 / d) sum_f cos(x base^(-2 f / d)); 1 without rotary embeddings."""
    shifts = np.arange(-2 * (length - 1), 2 * (length - 1) + 1)
    if layer.rotary is None:
        return jnp.ones(len(shifts))
    half = width // 2
    return jnp.asarray(np.cos(np.outer(shifts, layer.rotary ** (-np.arange(half) / half))).mean(1))


def _seen(layer: Attention, length: int) -> np.ndarray:
    seen = np.ones((length, length), bool)
    return seen if layer.mask is None else np.tril(seen)
