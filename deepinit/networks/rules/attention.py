"""Row rule of softmax attention on columns (q, k, v) of all heads.

Per head, S_ts = c q_t.k_s at true size, A = softmax over allowed s, o_t = sum_s A_ts v_s. For a
partner sequence q + dq, k' = k + dk, v + dv, without cancellation:
    dS = c (dq.k' + q.dk),   x = dS - sum_s A dS,   lam = log1p(sum_s A expm1(x)),
    dA = A expm1(x - lam),   do = dA (v + dv) + A dv.
Outputs keep the log-scale of v.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import AttentionMix, Shape
from deepinit.core.layers.attention import score_factor
from deepinit.core.placeholders import array
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule
from deepinit.networks.rotary import rotated
from deepinit.networks.row_map import row_map
from deepinit.networks.rows import Rows

_LARGEST_EXPONENT, _LARGEST_CHANGE = 60.0, 1000.0  # of expm1 in float32; of scores


def attention_weights(
    layer: AttentionMix, shape: Shape, x: jax.Array, log_scale: jax.Array
) -> jax.Array:
    """A [heads, positions, positions] at exp(log_scale) x."""
    q, k, _ = _heads(layer, shape, x)
    q, k = (_rotated(layer, _normed(layer, part)) for part in (q, k))
    return _softmax(layer, _factor(layer, log_scale), _inner(layer, q, k))


def attention_mix(
    layer: AttentionMix, shape: Shape, x: jax.Array, log_scale: jax.Array
) -> jax.Array:
    """Outputs [positions * heads * head_width] at exp(log_scale) x, over exp(log_scale)."""
    values = _heads(layer, shape, x)[2]
    return _columns(_product(attention_weights(layer, shape, x, log_scale), values))


def _difference(
    layer: AttentionMix, shape: Shape, x: jax.Array, dx: jax.Array, log_scale: jax.Array
) -> jax.Array:
    (q, k, v), (dq, dk, dv) = _heads(layer, shape, x), _heads(layer, shape, dx)
    dq, dk = (_normed_change(layer, *pair) for pair in ((q, dq), (k, dk)))
    q, k = _normed(layer, q), _normed(layer, k)
    q, k, dq, dk = (_rotated(layer, part) for part in (q, k, dq, dk))
    factor, inner = _factor(layer, log_scale), _inner(layer, q, k)
    change = _inner(layer, dq, k + dk) + _inner(layer, q, dk)
    weights = _softmax(layer, factor, inner)
    dweights = _softmax_change(layer, factor, inner, change, weights)
    return _columns(_product(dweights, v + dv) + _product(weights, dv))


def _softmax(layer: AttentionMix, factor: jax.Array, inner: jax.Array) -> jax.Array:
    """A of scores factor * inner; the largest is exactly 0, whatever the factor."""
    seen = _allowed(layer, inner)
    largest = jnp.max(inner, axis=-1, keepdims=True, where=seen, initial=-jnp.inf)
    scores = factor * (inner - jax.lax.stop_gradient(largest))
    return jax.nn.softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)


def _softmax_change(
    layer: AttentionMix,
    factor: jax.Array,
    inner: jax.Array,
    inner_change: jax.Array,
    weights: jax.Array,
) -> jax.Array:
    """Of A, to relative accuracy; a large change is a plain difference."""
    change = factor * jnp.where(_allowed(layer, inner), inner_change, 0)
    x = change - jnp.sum(weights * change, axis=-1, keepdims=True)
    within = jnp.minimum(x, _LARGEST_EXPONENT)
    log_sum = jnp.log1p(jnp.sum(weights * jnp.expm1(within), axis=-1, keepdims=True))
    largest = lambda values: jnp.max(values, axis=-1, keepdims=True)
    is_moderate = (largest(x) < _LARGEST_EXPONENT) & (largest(jnp.abs(change)) < _LARGEST_CHANGE)
    plain = _softmax(layer, factor, inner + inner_change) - weights
    return jnp.where(is_moderate, weights * jnp.expm1(within - log_sum), plain)


def _heads(layer: AttentionMix, shape: Shape, x: jax.Array) -> jax.Array:
    """q, k, v: [3, heads, positions, head_width]."""
    columns = x.reshape(shape.num_positions, 3, layer.attention.heads, layer.head_width)
    scales = jnp.stack([jnp.asarray(array(scale, x.dtype), x.dtype) for scale in layer.scales])
    return scales[:, None, None, None] * columns.transpose(1, 2, 0, 3)


def _columns(outputs: jax.Array) -> jax.Array:
    """[heads, positions, head_width] -> [positions * heads * head_width]."""
    return outputs.swapaxes(0, 1).ravel()


def _factor(layer: AttentionMix, log_scale: jax.Array) -> jax.Array:
    """exp(2 log_scale), up to the root of the dtype's range: there A is one-hot."""
    if layer.attention.qk_norm:
        return jnp.ones_like(log_scale)
    largest = 0.5 * np.log(float(jnp.finfo(log_scale.dtype).max))
    return jnp.exp(jnp.minimum(2 * log_scale, largest))


def _allowed(layer: AttentionMix, scores: jax.Array) -> np.ndarray:
    """Whether position t (rows) sees s (columns)."""
    seen = np.ones(scores.shape[-2:], bool)
    return seen if layer.attention.mask is None else np.tril(seen)


def _normed(layer: AttentionMix, rows: jax.Array) -> jax.Array:
    """Root mean square 1 over head_width (`qk_norm`); zero rows stay 0."""
    return rows / _size(rows) if layer.attention.qk_norm else rows


def _normed_change(layer: AttentionMix, rows: jax.Array, change: jax.Array) -> jax.Array:
    """As `rules.norms`, eps = 0."""
    if not layer.attention.qk_norm:
        return change
    excess = jnp.mean(2 * rows * change + change * change, axis=-1, keepdims=True)
    size, partner = _size(rows), _size(rows + change)
    return change / partner - rows * excess / (size * partner * (size + partner))


def _size(rows: jax.Array) -> jax.Array:
    square = jnp.mean(rows * rows, axis=-1, keepdims=True)
    return jnp.sqrt(jnp.where(square > 0, square, 1))


def _rotated(layer: AttentionMix, rows: jax.Array) -> jax.Array:
    base = layer.attention.rotary
    return rows if base is None else rotated(rows, base)


def _inner(layer: AttentionMix, queries: jax.Array, keys: jax.Array) -> jax.Array:
    """c q_t.k_s."""
    factor = score_factor(layer.attention, layer.head_width)
    return _product(factor * queries, keys.swapaxes(-1, -2))


def _product(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")


_rule = row_map(attention_mix, _difference, keeps_scale=True)


def _forward(layer: AttentionMix, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    weights = jax.vmap(lambda x, scale: attention_weights(layer, shape, x, scale))
    notes = {"attention": weights(rows.points, rows.point_scales)}
    return _rule.forward(layer, rows, source, shape, draw)._replace(notes=notes)


ROWS.rule(AttentionMix)(RowRule(_forward, _rule.backward))
