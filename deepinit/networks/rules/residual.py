"""Row rule of residual layers: skip(x) + scale branch(x)."""

import dataclasses
import math
from typing import Any

from deepinit.core.layers import Residual, Shape
from deepinit.networks.cotangents import Cotangents, plus
from deepinit.networks.interpreter import (
    ROWS,
    Applied,
    Draw,
    RowRule,
    WeightsAndBiases,
    apply,
    pull_back,
)
from deepinit.networks.rows import Rows, at_true_size, lifted
from deepinit.networks.rules.sequential import total_products

# folded into the key; a branch beside the identity has the key itself
SKIP, BRANCH = 1 << 20, (1 << 20) + 1


def scale_of(layer: Residual, depth: int) -> float:
    """The scale as a number."""
    return 1 / math.sqrt(depth) if isinstance(layer.scale, str) else layer.scale


def _branch_source(layer: Residual, source: Any, draw: Draw) -> Any:
    return source if layer.skip is None else draw.child(source, BRANCH, 0)


def _forward(layer: Residual, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    applied = apply(layer.branch, rows, _branch_source(layer, source, draw), shape, draw)
    stream, skip_saved = rows, ()
    if layer.skip is not None:
        skip = apply(layer.skip, rows, draw.child(source, SKIP, 1), shape, draw)
        stream, skip_saved = skip.rows, skip.saved
    branch = _times(applied.rows, scale_of(layer, draw.depth))
    if at_true_size(branch):  # after a norm: the stream may be far smaller
        stream = lifted(stream)
    saved = applied.saved, skip_saved
    return Applied(stream.plus(branch), applied.before, saved, applied.notes)


def _times(rows: Rows, factor: float) -> Rows:
    """The rows of a branch, times a factor."""
    if factor == 1.0:
        return rows
    return dataclasses.replace(
        rows,
        points=factor * rows.points,
        displacements=factor * rows.displacements,
        tangents=None if rows.tangents is None else factor * rows.tangents,
        cached=None,
    )


def _backward(
    layer: Residual, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    branch_saved, skip_saved = saved
    through, factor = back, scale_of(layer, draw.depth)
    if factor != 1.0:
        through = Cotangents(factor * back.vectors, back.log_scales)
    branch_source = _branch_source(layer, source, draw)
    through, products = pull_back(
        layer.branch, rows, branch_saved, through, branch_source, shape, draw
    )
    if layer.skip is not None:
        skip_source = draw.child(source, SKIP, 1)
        back, skip_products = pull_back(
            layer.skip, rows, skip_saved, back, skip_source, shape, draw
        )
        products = total_products([each for each in (products, skip_products) if each is not None])
    return plus(back, through), products


ROWS.rule(Residual)(RowRule(_forward, _backward, is_random=None))
