"""Row rules of RMSNorm, LayerNorm and GroupNorm.

c = h (RMSNorm), or h less its mean over n neurons (LayerNorm) or over the positions and channels of
a group (GroupNorm), s^2 = |c|^2 / n + eps, e = (2 c.d + |d|^2) / n for a displacement d of c,
s'^2 = s^2 + e:
    difference = d / s' - c e / (s s' (s + s')), without cancellation.
Gains and biases (1 and 0) enter the tangent kernel alone: df/dgamma = sum over positions of u times
the normalized input.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import GroupNorm, LayerNorm, RMSNorm, Shape
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.interpreter import ROWS, Draw, RowRule, WeightsAndBiases
from deepinit.networks.row_map import row_map
from deepinit.networks.rows import Rows


def _mean(layer: Any, values: jax.Array) -> jax.Array:
    """Mean over what is normalized together."""
    axes = (0, 2) if isinstance(layer, GroupNorm) else 2
    return jnp.mean(values, axis=axes, keepdims=True)


def _centred(layer: Any, shape: Shape, x: jax.Array) -> jax.Array:
    """[positions, groups, channels]."""
    groups = layer.groups if isinstance(layer, GroupNorm) else 1
    rows = x.reshape(shape.num_positions, groups, -1)
    return rows if isinstance(layer, RMSNorm) else rows - _mean(layer, rows)


def relative_eps(layer: Any, log_scale: jax.Array) -> jax.Array:
    """eps for rows over exp(log_scale); NaN, an event, where it exceeds the dtype.

    Such rows, below about 1e-19, would keep only eps of their norm.
    """
    if layer.eps == 0:
        return jnp.zeros_like(log_scale)
    eps = layer.eps * jnp.exp(-2 * log_scale)
    return jnp.where(jnp.isinf(eps), jnp.nan, eps)


def normalized(layer: Any, shape: Shape, x: jax.Array, log_scale: jax.Array) -> jax.Array:
    """The norm at exp(log_scale) x; rows that vanish with eps = 0 stay 0."""
    rows = _centred(layer, shape, x)
    size2 = _mean(layer, rows * rows) + relative_eps(layer, log_scale)
    return (rows / jnp.sqrt(jnp.where(size2 == 0, 1, size2))).ravel()


def _difference(
    layer: Any, shape: Shape, x: jax.Array, dx: jax.Array, log_scale: jax.Array
) -> jax.Array:
    rows, change = _centred(layer, shape, x), _centred(layer, shape, dx)
    eps = relative_eps(layer, log_scale)
    # s'^2 from the partner itself: s^2 + excess may cancel
    size2, partner2 = _mean(layer, rows * rows) + eps, _mean(layer, (rows + change) ** 2) + eps
    excess = _mean(layer, 2 * rows * change + change * change)
    size, partner = (jnp.sqrt(jnp.where(each == 0, 1, each)) for each in (size2, partner2))
    difference = change / partner - rows * excess / (size * partner * (size + partner))
    return jnp.where(partner2 == 0, -rows / size, difference).ravel()


_rule = row_map(normalized, _difference)


def _backward(
    layer: Any, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    into, _ = _rule.backward(layer, rows, saved, back, source, shape, draw)
    if not layer.gain:
        return into, None
    points = np.asarray(draw.points, np.int32)
    at = lambda x, scale: normalized(layer, shape, x, scale)
    outputs = jax.vmap(at)(rows.points, rows.point_scales)[points]
    return into, gain_products(outputs, back, shape, not isinstance(layer, RMSNorm))


def gain_products(
    outputs: jax.Array, back: Cotangents, shape: Shape, has_bias: bool
) -> WeightsAndBiases:
    """Products of gradients by gains and biases, summed over positions; variance 1 each."""
    per_neuron = lambda values: jnp.sum(
        values.reshape(len(values), shape.num_positions, -1), axis=1
    )
    scale = back.log_scales[:, None] + back.log_scales[None]
    gram = lambda rows: Products(jnp.matmul(rows, rows.T, precision="highest"), scale)
    gains = gram(per_neuron(back.vectors * outputs))
    biases = gram(per_neuron(back.vectors))
    return gains, biases if has_bias else Products(0 * biases.value, scale)


ROWS.rule(RMSNorm, LayerNorm, GroupNorm)(RowRule(_rule.forward, _backward))
