"""Row rules of pooling and flattening.

The largest of a window: h_i + d_i exceeds h* = max h by max_i ((h_i - h*) + d_i), exactly.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.layers import Flatten, Pool, Shape
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule
from deepinit.networks.row_map import row_map
from deepinit.networks.rows import Rows


def windows(layer: Pool, shape: Shape, x: jax.Array, outside: float) -> jax.Array:
    """[places in a window, windows, width]; `outside` at places beyond the image."""
    assert shape.positions is not None
    image = x.reshape(*shape.positions, -1)
    if layer.size is None:
        return image.reshape(shape.num_positions, 1, -1)
    size, stride, margin = layer.size, layer.stride or layer.size, layer.padding
    margins = ((margin, margin),) * len(shape.positions) + ((0, 0),)
    image = jnp.pad(image, margins, constant_values=outside)
    ends = [length - size + 1 for length in image.shape[:-1]]
    shifted = [
        image[tuple(slice(at, at + end, stride) for at, end in zip(first, ends, strict=True))]
        for first in itertools.product(range(size), repeat=len(ends))
    ]
    return jnp.stack(shifted).reshape(len(shifted), -1, image.shape[-1])


def pooled(layer: Pool, shape: Shape, x: jax.Array, log_scale: jax.Array) -> jax.Array:
    """Mean or maximum of every window."""
    del log_scale
    if layer.kind == "max":
        return jnp.max(windows(layer, shape, x, -math.inf), axis=0).ravel()
    counts = jnp.sum(windows(layer, shape, jnp.ones_like(x), 0.0), axis=0)
    return (jnp.sum(windows(layer, shape, x, 0.0), axis=0) / counts).ravel()


def _difference(
    layer: Pool, shape: Shape, x: jax.Array, dx: jax.Array, log_scale: jax.Array
) -> jax.Array:
    if layer.kind == "mean":
        return pooled(layer, shape, dx, log_scale)
    inside = windows(layer, shape, x, -math.inf)
    below = inside - jnp.max(inside, axis=0)
    return jnp.max(below + windows(layer, shape, dx, 0.0), axis=0).ravel()


def _flat(layer: Flatten, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    del layer, source, shape, draw
    return Applied(rows)


def _flat_backward(
    layer: Flatten, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, None]:
    del layer, rows, saved, source, shape, draw
    return back, None


ROWS.rule(Pool)(row_map(pooled, _difference, keeps_scale=True))
ROWS.rule(Flatten)(RowRule(_flat, _flat_backward))
