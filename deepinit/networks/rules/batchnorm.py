"""Row rule of BatchNorm: one batch of points and partners, times positions.

With true rows r, mean m and variance v of every channel over the batch, s^2 = v + eps: points
become (r - m) / s, displacements d / s. Rows are centred by the mean of the bases first: a batch of
close pairs keeps its digits.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers import BatchNorm, Shape
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule, WeightsAndBiases
from deepinit.networks.rows import Rows
from deepinit.networks.rules.norms import gain_products, relative_eps


def _forward(layer: BatchNorm, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    del source, draw
    rows = jax.tree.map(jnp.asarray, rows)
    common = jnp.max(rows.point_scales)
    size = jnp.exp(rows.point_scales - common)
    points, eps = _channels(size[:, None] * rows.points, shape), relative_eps(layer, common)
    displacements = _channels(rows.of_bases(size)[:, None] * rows.displacements, shape)
    step = jnp.exp(rows.displacement_scales)[:, None, None] * displacements
    centred, std = _centred(points, step, rows, eps)
    after = dataclasses.replace(
        rows,
        points=(centred / std).reshape(len(centred), -1),
        displacements=(displacements / std).reshape(rows.displacements.shape),
        point_scales=0 * rows.point_scales,
        cached=None,
    )
    return Applied(after)


def _channels(rows: jax.Array, shape: Shape) -> jax.Array:
    """[num, positions, channels]."""
    return rows.reshape(len(rows), shape.num_positions, shape.width or 0)


def _centred(
    points: jax.Array, step: jax.Array, rows: Rows, eps: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Centred points, and standard deviations [channels] of the batch."""
    bases = np.asarray(rows.bases, np.int32)
    shares = (1 + np.bincount(bases, minlength=len(points))) / (len(points) + len(bases))
    mean = jnp.tensordot(jnp.asarray(shares, points.dtype), jnp.mean(points, axis=1), 1)
    centred = points - mean
    size = (len(points) + len(bases)) * points.shape[1]
    centred = centred - jnp.sum(step, axis=(0, 1)) / size
    partners = centred[bases] + step
    variance = (jnp.sum(centred**2, axis=(0, 1)) + jnp.sum(partners**2, axis=(0, 1))) / size + eps
    return centred, jnp.sqrt(jnp.where(variance == 0, 1, variance))


def _backward(
    layer: BatchNorm,
    rows: Rows,
    saved: Any,
    back: Cotangents,
    source: Any,
    shape: Shape,
    draw: Draw,
) -> tuple[Cotangents, WeightsAndBiases | None]:
    del saved, source
    common, size = jnp.max(rows.point_scales), draw.batch
    points = jnp.exp(rows.point_scales - common)[:, None] * rows.points
    eps = relative_eps(layer, common)

    def normalized(points: jax.Array) -> jax.Array:
        channels = _channels(points, shape)
        centred, std = _centred(channels, channels[:0], rows, eps)
        return (centred / std).reshape(points.shape)

    outputs, pull = jax.vjp(normalized, points)
    # the cotangents of one function, at their largest log-scale
    scales = jnp.where(jnp.any(back.vectors != 0, axis=1), back.log_scales, -jnp.inf)
    largest = jnp.max(scales.reshape(-1, size), axis=1, keepdims=True)
    largest = jnp.where(jnp.isfinite(largest), largest, 0)
    vectors = back.vectors.reshape(-1, size, shape.size)
    vectors = jnp.exp(scales.reshape(-1, size) - largest)[..., None] * vectors
    into = jax.vmap(lambda u: pull(u)[0])(vectors).reshape(-1, shape.size)
    scale = jnp.broadcast_to(largest - common, (len(largest), size)).ravel()
    into = Cotangents(into, scale)
    if not layer.gain:
        return into, None
    tiled = outputs[np.asarray(draw.points, np.int32)]
    return into, gain_products(tiled, back, shape, True)


def _check(layer: BatchNorm, shape: Shape, rows: Rows, path: str) -> None:
    where = path or "BatchNorm"
    if rows.tangents is not None:
        given = f"{where}: tangents through BatchNorm"
        allowed = "points and pairs: a step of one input moves the whole batch"
        raise SpecError(given, allowed, "Take LayerNorm or GroupNorm, or pairs of inputs.")
    if (len(rows.points) + len(rows.bases)) * shape.num_positions == 1:
        allowed = "two or more rows (inputs, partners, positions): one row is its own mean"
        raise SpecError(f"{where}: a batch of one row", allowed, "Take di.inputs.points(x).")


_rule = RowRule(_forward, _backward, check=_check)
ROWS.rule(BatchNorm)(_rule)
