"""Row rule of dropout: masks of the network's key, drawn again on the backward pass."""

from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.core.layers import Dropout, Shape
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule
from deepinit.networks.rows import Rows

MASK = 4  # folded into the key; matrices and biases have 0 to 3


def masks(layer: Dropout, rows: Rows, source: Any) -> jax.Array:
    """[1 or num_points, size]: 0 or 1 / (1 - rate)."""
    num, size = rows.points.shape
    keep = 1 - layer.rate
    with sequential_bits():
        key = jax.random.fold_in(source, MASK)
        kept = jax.random.bernoulli(key, keep, (1 if layer.shared else num, size))
    return kept.astype(rows.points.dtype) / keep


def _forward(layer: Dropout, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    del shape, draw
    each = masks(layer, rows, source)
    if layer.shared:
        return Applied(rows.with_rows(each * rows.stacked))
    parts = [each]
    if rows.tangents is not None:
        parts.append(jnp.repeat(rows.of_frame_bases(each), rows.tangents.shape[1], axis=0))
    return Applied(rows.with_rows(jnp.concatenate(parts) * rows.stacked))


def _backward(
    layer: Dropout, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, None]:
    del saved, shape
    each = masks(layer, rows, source)
    each = each if layer.shared else each[jnp.asarray(draw.points)]
    return Cotangents(each * back.vectors, back.log_scales), None


def _check(layer: Dropout, shape: Shape, rows: Rows, path: str) -> None:
    del shape
    if rows.bases and not layer.shared:
        given = f"{path or 'Dropout'}: pairs of inputs with one mask per input"
        allowed = "shared masks: the difference of two masks is not small"
        raise SpecError(given, allowed, f"Write Dropout({layer.rate:g}), or give points.")


ROWS.rule(Dropout)(RowRule(_forward, _backward, check=_check))
