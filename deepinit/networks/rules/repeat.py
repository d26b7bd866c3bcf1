"""Row rule of Repeat inside a site: one scan."""

from typing import Any

from deepinit.core.layers import Repeat, Shape
from deepinit.networks.cotangents import Cotangents, rescaled, total
from deepinit.networks.interpreter import (
    ROWS,
    Applied,
    Draw,
    RowRule,
    WeightsAndBiases,
    apply,
    pull_back,
    renormalize,
    scan_layers,
)
from deepinit.networks.rows import Rows


def _forward(layer: Repeat, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    inside = draw._replace(watch=None)

    def step(rows: Rows, source: Any) -> tuple[Rows, Any]:
        applied = apply(layer.layer, rows, source, shape, inside)
        return renormalize(applied.rows), (rows, applied.saved)

    sources = draw.sources(source, layer.first, layer.times)
    rows, saved = scan_layers(step, renormalize(rows), sources)
    return Applied(rows, None, saved)


def _backward(
    layer: Repeat, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    del rows

    def step(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        (inputs, kept), source = at
        back, products = pull_back(layer.layer, inputs, kept, back, source, shape, draw)
        return rescaled(back), products

    sources = draw.sources(source, layer.first, layer.times)
    back, products = scan_layers(step, back, (saved, sources), reverse=True)
    if products is None:
        return back, None
    weights, biases = products
    return back, (total(weights), total(biases))


ROWS.rule(Repeat)(RowRule(_forward, _backward, is_random=None))
