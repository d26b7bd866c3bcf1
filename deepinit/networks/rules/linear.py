"""Row rule of random linear maps: one draw acts on points, displacements and tangents."""

from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.layers import Conv, Dense, Shape
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule, WeightsAndBiases
from deepinit.networks.linear_layers import linear_layer
from deepinit.networks.rows import Rows, points_alone


def _forward(layer: Any, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    resolved = linear_layer(layer, shape, draw.depth)
    if resolved.view is None:
        images, bias, saved = draw.linear(source, rows, resolved)
        return Applied(affine(rows, images, bias), None, saved)
    stacked = rows.stacked
    patches = points_alone(resolved.view.extract(stacked))
    images, bias, saved = draw.linear(source, patches, resolved)
    assembled = resolved.view.assemble(images, len(stacked))
    bias = None if bias is None else resolved.view.tile(bias)
    return Applied(affine(rows, assembled, bias), None, saved)


def affine(rows: Rows, images: jax.Array, bias: jax.Array | None) -> Rows:
    """Rows after a linear map; the bias shifts points, at their scale."""
    if bias is None:
        return rows.with_rows(images)
    return rows.with_rows(images, points_shift=jnp.exp(-rows.point_scales)[:, None] * bias)


def _backward(
    layer: Any, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases]:
    assert draw.transpose is not None
    resolved = linear_layer(layer, shape, draw.depth)
    return draw.transpose(source, saved, rows, back, resolved, draw.points)


ROWS.rule(Dense, Conv)(RowRule(_forward, _backward, is_random=True))
