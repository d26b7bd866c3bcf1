"""Row rule of position vectors, added to points (not to displacements and tangents)."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import Positions, Shape
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule, WeightsAndBiases
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.rows import Rows, lifted, points_alone

_PERIOD = 10_000.0  # of the slowest sinusoid, over 2 pi


def sinusoids(num_positions: int, width: int) -> np.ndarray:
    """sin and cos of t / 10000^(2i / width), i < width / 2, interleaved (Vaswani et al. 2017).

    Mean square 1/2 at every position (even width).
    """
    neuron = np.arange(width)
    angles = np.outer(np.arange(num_positions), _PERIOD ** (-(neuron - neuron % 2) / width))
    return np.where(neuron % 2 == 0, np.sin(angles), np.cos(angles))


def _forward(layer: Positions, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    rows = lifted(rows)
    vectors, saved = _vectors(layer, rows, source, shape, draw)
    points = rows.points + jnp.exp(-rows.point_scales)[:, None] * vectors.ravel()
    return Applied(dataclasses.replace(rows, points=points, cached=None), None, saved)


def _vectors(
    layer: Positions, rows: Rows, source: Any, shape: Shape, draw: Draw
) -> tuple[jax.Array, Any]:
    """[positions, width]; learned ones are images of one-hot positions."""
    count, width, dtype = shape.num_positions, shape.width or 0, rows.points.dtype
    if layer.law is None:
        return jnp.asarray(sinusoids(count, width), dtype), ()
    one_hot = points_alone(jnp.eye(count, dtype=dtype))
    images, _, saved = draw.linear(source, one_hot, LinearLayer(width, layer.law, None, draw.depth))
    return images, saved


def _backward(
    layer: Positions,
    rows: Rows,
    saved: Any,
    back: Cotangents,
    source: Any,
    shape: Shape,
    draw: Draw,
) -> tuple[Cotangents, WeightsAndBiases | None]:
    del rows, saved, source, shape
    if layer.law is None:
        return back, None
    products = layer.law.variance * jnp.matmul(back.vectors, back.vectors.T, precision="highest")
    scale = back.log_scales[:, None] + back.log_scales[None]
    return back, (Products(products, scale), Products(0 * products, scale))


ROWS.rule(Positions)(RowRule(_forward, _backward))
