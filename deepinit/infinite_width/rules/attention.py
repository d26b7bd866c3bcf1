"""Softmax attention, for infinitely many heads of infinite width.

Scores of two rows t, t' of inputs a, b are Gaussian: Cov(S_ts, S_t's') = c^2 d q_tt' k_ss'
w(t - t' - s + s'), q and k the covariances of queries and keys between a and b, w of rotary
embeddings. With A = softmax(S), v the value variance, J = dA/dS:

    cov' = v E[A cov A'^T],
    ntk' = v E[A (cov + ntk) A'^T] + v sum E[(J^T cov J')_rr'] ntk_S(tr, t'r'),

ntk_S = c^2 d w (t_q k + q t_k), t_q = v_q (cov + ntk) and t_k of queries and keys. `mup` scores
keep c^2 d = beta^2 / d at the head width d.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.attention import Attention, head_width_of, score_factor
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Dense
from deepinit.infinite_width.random_maps import random_map
from deepinit.infinite_width.random_nodes import random_nodes
from deepinit.infinite_width.rules_table import INFINITE, entry_variance
from deepinit.infinite_width.softmax_averages import softmax_averages
from deepinit.infinite_width.states import Kernel, State, absorbed, on_ntk, tied


class _Scores(NamedTuple):
    """Constants of a layer's scores.

    Attributes:
        scale: c^2 d times the variances of queries and keys.
        turn: w(x) at x + 2 (T - 1), [4 T - 3].
        seen: [T, T], whether row t sees s.
    """

    scale: float
    turn: Any
    seen: Any
    normed: bool


@INFINITE.rule(Attention)
def _attention(layer: Attention, state: State, shape: Shape, depth: int, path: str) -> State:
    assert shape.width is not None
    width = head_width_of(layer, shape.width)
    variance = lambda name: entry_variance(layer, name, shape.width or 0, depth, path) * (
        shape.width or 0
    )
    scale = score_factor(layer, width) ** 2 * width
    if not layer.qk_norm:
        scale = scale * variance("query_law") * variance("key_law")
    length = shape.num_positions
    scores = _Scores(scale, _turn(layer, width, length), _seen(layer, length), layer.qk_norm)
    mixed = _mixed(scores, variance("value_law"), absorbed(state))
    return random_map(
        Dense(shape.width, layer.output_law), mixed, layer.heads * width, depth, path
    )


def _mixed(scores: _Scores, value_variance: float, state: State) -> State:
    """Kernels of the heads' outputs."""
    length = state.within.cov.shape[-1]
    rank = 2 * (length - 1)
    nodes = random_nodes(max(rank, 1), state.replica)
    within, num_first = state.within, len(state.same)

    def entry(left: Any, right: Any, both: Kernel, t: Any, u: Any) -> Kernel:
        cov, ntk = _entry(scores, nodes, left, right, both, t, u)
        return Kernel(value_variance * cov, on_ntk(lambda ntk: value_variance * ntk, ntk))

    def own(place: Any) -> Kernel:
        a, t, u = place
        block = jax.tree.map(lambda part: part[a], within)
        return entry(block.cov, block.cov, block, t, u)

    def mutual(place: Any) -> Kernel:
        a, b, t, u = place
        others = within.cov[-state.same.shape[1] :]
        both = jax.tree.map(lambda part: part[a, b], state.cross)
        return entry(within.cov[:num_first][a], others[b], both, t, u)

    rows, columns = np.triu_indices(length)
    places = _products(np.arange(len(within.cov))[None], np.stack([rows, columns]))
    mirrored = (places[0], places[2], places[1])
    inner = _filled(own, within, (places, mirrored))
    if state.square:
        pairs = np.stack(np.triu_indices(num_first, 1))
    else:
        pairs = np.indices(state.same.shape).reshape(2, -1)
    places = _products(pairs, np.indices((length, length)).reshape(2, -1))
    copies = (places, places[[1, 0, 3, 2]]) if state.square else (places,)
    outer = _filled(mutual, state.cross, copies)
    changes = {"mean": jnp.zeros_like(state.mean), "sampled": state.sampled or rank > 0}
    return tied(
        state.replace(cross=outer, within=inner, gaussian=False, source=None, **changes)
    )


def _entry(
    scores: _Scores, nodes: Any, left: Any, right: Any, both: Kernel, t: Any, u: Any
) -> tuple[Any, Any]:
    """E[A cov A'^T] and its tangent kernel for rows t of one input, u of another.

    Args:
        left, right: cov [T, T] within the inputs.
        both: kernels between them.
    """
    length = len(left)
    at = np.arange(length)
    scale_left, scale_right = _scales(scores, left), _scales(scores, right)
    normed = lambda block, first, second: first[:, None] * block * second
    keys = normed(both.cov, scale_left, scale_right)
    turned = lambda shift: scores.scale * scores.turn[
        shift - at[:, None] + at + 2 * (length - 1)
    ]
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
    seen = jnp.stack([scores.seen[t], scores.seen[u]])
    averages = softmax_averages(joint, seen, both.cov, *nodes, with_ntk)
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


def _filled(entry: Any, like: Kernel, copies: tuple[Any, ...]) -> Kernel:
    """A kernel of entries at places, an integer array per axis; the same at every copy."""
    entries = jax.lax.map(entry, tuple(jnp.asarray(axis) for axis in copies[0]))
    result = jax.tree.map(jnp.zeros_like, like)
    for places in copies:
        put = lambda block, values, places=places: block.at[tuple(places)].set(values)
        result = jax.tree.map(put, result, entries)
    return result


def _products(outer: Any, inner: Any) -> Any:
    """Places [axes, num] of every outer place with every inner place."""
    repeated = np.repeat(outer, inner.shape[1], axis=1)
    return np.concatenate([repeated, np.tile(inner, (1, outer.shape[1]))])


def _turn(layer: Attention, width: int, length: int) -> Any:
    """w(x) = (2 / d) sum_f cos(x base^(-2 f / d)); 1 without rotary embeddings."""
    shifts = np.arange(-2 * (length - 1), 2 * (length - 1) + 1)
    if layer.rotary is None:
        return jnp.ones(len(shifts))
    half = width // 2
    return jnp.asarray(np.cos(np.outer(shifts, layer.rotary ** (-np.arange(half) / half))).mean(1))


def _seen(layer: Attention, length: int) -> Any:
    seen = np.ones((length, length), bool)
    return jnp.asarray(seen if layer.mask is None else np.tril(seen))
