"""Row rules of RMSNorm and LayerNorm.

With c = h (RMSNorm) or h less its mean over neurons (LayerNorm), s^2 = |c|^2 / n + eps,
e = (2 c.d + |d|^2) / n for a displacement d of c, s'^2 = s^2 + e:

    difference = d / s' - c e / (s s' (s + s')),

without cancellation. Gains and biases (1 and 0) enter the tangent kernel alone:
df/dgamma = sum over positions of u times the normalized input.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import LayerNorm, RMSNorm, Shape
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.interpreter import ROWS, Draw, RowRule, WeightsAndBiases
from deepinit.networks.row_map import row_map
from deepinit.networks.rows import Rows


def _centred(layer: Any, shape: Shape, x: jax.Array) -> jax.Array:
    """[positions, width]."""
    rows = x.reshape(shape.num_positions, -1)
    if isinstance(layer, LayerNorm):
        rows = rows - jnp.mean(rows, axis=1, keepdims=True)
    return rows


def normalized(layer: Any, shape: Shape, x: jax.Array, log_scale: jax.Array) -> jax.Array:
    """The norm at exp(log_scale) x; rows that vanish with eps = 0 stay 0."""
    rows = _centred(layer, shape, x)
    size2 = jnp.mean(rows * rows, axis=1, keepdims=True) + layer.eps * jnp.exp(-2 * log_scale)
    return (rows / jnp.sqrt(jnp.where(size2 > 0, size2, 1))).ravel()


def _difference(
    layer: Any, shape: Shape, x: jax.Array, dx: jax.Array, log_scale: jax.Array
) -> jax.Array:
    rows, change = _centred(layer, shape, x), _centred(layer, shape, dx)
    mean = lambda values: jnp.mean(values, axis=1, keepdims=True)
    eps = layer.eps * jnp.exp(-2 * log_scale)
    positive = lambda square: jnp.sqrt(jnp.where(square > 0, square, 1))
    size2 = mean(rows * rows) + eps
    excess = mean(2 * rows * change + change * change)
    # s'^2 from the partner itself: s^2 + excess may cancel
    size, partner = positive(size2), positive(mean((rows + change) ** 2) + eps)
    return (change / partner - rows * excess / (size * partner * (size + partner))).ravel()


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
    return into, gain_products(outputs, back, shape, isinstance(layer, LayerNorm))


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


ROWS.rule(RMSNorm, LayerNorm)(RowRule(_rule.forward, _backward))
