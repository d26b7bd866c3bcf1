"""Row rule of Sequential inside a site; saves inputs of random layers and of those after them."""

from typing import Any

from deepinit.core.layers import Sequential, Shape, output_shape
from deepinit.networks.cotangents import Cotangents, sum_of
from deepinit.networks.interpreter import (
    ROWS,
    Applied,
    Draw,
    RowRule,
    WeightsAndBiases,
    apply,
    is_random,
    pull_back,
)
from deepinit.networks.rows import Rows


def _forward(layer: Sequential, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    before, saved, stored = None, [], False
    notes: dict[str, Any] = {}
    for index, (child, number) in enumerate(zip(layer.layers, layer.keys, strict=True)):
        inputs = rows if stored else None
        applied = apply(child, rows, draw.child(source, number, index), shape, draw)
        rows, stored = applied.rows, is_random(child)
        before = before if applied.before is None else applied.before
        notes |= applied.notes or {}
        saved.append((inputs, applied.saved))
        shape = output_shape(child, shape)
    return Applied(rows, before, tuple(saved), notes)


def _backward(
    layer: Sequential,
    rows: Rows,
    saved: Any,
    back: Cotangents,
    source: Any,
    shape: Shape,
    draw: Draw,
) -> tuple[Cotangents, WeightsAndBiases | None]:
    steps = []
    for index, (child, (inputs, kept)) in enumerate(zip(layer.layers, saved, strict=True)):
        rows = rows if inputs is None else inputs
        child_source = draw.child(source, layer.keys[index], index)
        steps.append((child, rows, kept, child_source, shape))
        if not is_random(child) and index < len(layer.layers) - 1:
            rows = apply(child, rows, child_source, shape, draw).rows
        shape = output_shape(child, shape)
    products = []
    for child, inputs, kept, child_source, child_shape in reversed(steps):
        back, product = pull_back(child, inputs, kept, back, child_source, child_shape, draw)
        products += [] if product is None else [product]
    return back, total_products(products)


def total_products(products: list[WeightsAndBiases]) -> WeightsAndBiases | None:
    """Sums over layers; None without parameters."""
    if len(products) < 2:
        return products[0] if products else None
    weights, biases = zip(*products, strict=True)
    return sum_of(*weights), sum_of(*biases)


ROWS.rule(Sequential)(RowRule(_forward, _backward, is_random=None))
