"""Backward pass: cotangents from outputs to inputs of a random network.

Transposes have the joint law with their maps, at cost O(n k^2) when conditional
(`networks.transposes`); residuals are stored or recomputed (`networks.checkpointing`).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.layers import Layer, Repeat, Sequential, Shape, output_shape, program
from deepinit.core.layers.containers import mixes_batch
from deepinit.core.layers.program import is_site
from deepinit.networks.checkpointing import checkpoint_shapes
from deepinit.networks.cotangents import (
    Cotangents,
    Products,
    log_norm2,
    over_batch,
    rescaled,
    sum_of,
    sum_of_parts,
    total,
)
from deepinit.networks.forward import key_parts
from deepinit.networks.gradients import Gradients as Gradients
from deepinit.networks.interpreter import (
    Draw,
    WeightsAndBiases,
    apply,
    check_rules,
    key_source,
    key_sources,
    pull_back,
    renormalize,
    scan_layers,
)
from deepinit.networks.linear_layers import drawn_layer
from deepinit.networks.linear_maps import WITH_RESIDUALS
from deepinit.networks.rows import Rows
from deepinit.networks.tied_maps import TiedMaps
from deepinit.networks.transposes import cotangent_maps


def random_gradients(
    spec: Any,
    rows: Rows,
    key: jax.Array,
    functions: Any,
    points: tuple[int, ...],
    *,
    linear_map: str,
    precision: str = "highest",
    shape: Shape | None = None,
    record: Callable[[Layer, Any, Cotangents], Any] | None = None,
) -> Gradients:
    """Values and gradients of the random network of a key.

    `rows`: points alone, of the input layer. `key`: with explicit maps, as for
    `network(spec).init`. `functions`: [num, output size], linear functions of the output at
    `points` (indices). `record`: `(layer, saved, cotangents) -> [length]` of sites.
    """
    net = program(spec, shape or Shape((), rows.points.shape[1]))
    check_rules(net.body, net.body_shape, rows)
    batch = len(rows.points) if mixes_batch(net.body) else 1
    functions = jnp.asarray(functions, rows.points.dtype)
    if batch > 1:
        functions, points = over_batch(functions, points, batch)
    draw = Draw(
        _saving(linear_map, precision),
        key_source,
        key_sources,
        net.depth,
        cotangent_maps(linear_map, precision, points),
        points,
        batch,
        None if linear_map == "explicit" else TiedMaps(linear_map == "auto", precision),
        record=record,
    )
    embedding_key, body_key, readout_key = key_parts(net, key)
    rows = inputs = rows.with_inner_products()
    if net.embedding is not None:
        embedded = apply(net.embedding, rows, embedding_key, net.shape, draw)
        rows = renormalize(embedded.rows)
    last, residuals = _forward(net.body, rows, body_key, net.body_shape, draw)
    back = Cotangents(functions, jnp.zeros(len(functions), functions.dtype))
    outputs, readout, embedding = last, None, None
    if net.readout is not None:
        applied = apply(net.readout, last, readout_key, net.last_shape, draw)
        outputs = applied.rows
        back, readout = pull_back(
            net.readout, last, applied.saved, back, readout_key, net.last_shape, draw
        )
    back, (layers, records), products = _backward(
        net.body, residuals, back, body_key, net.body_shape, draw
    )
    if net.embedding is not None:
        back, embedding = pull_back(
            net.embedding, inputs, embedded.saved, back, embedding_key, net.shape, draw
        )
    zeros = _no_products(functions)
    weights, biases = products or zeros
    others = (sum_of(*(part or zeros)) for part in (embedding, readout))
    parts = weights, biases, *others
    if batch > 1:
        parts = tuple(sum_of_parts(part, batch) for part in parts)
    found = Gradients(outputs.points, outputs.point_scales, layers, back, *parts)
    return found._replace(records=records)


def _no_products(functions: jax.Array) -> WeightsAndBiases:
    zeros = jnp.zeros((len(functions), len(functions)), functions.dtype)
    return Products(zeros, zeros), Products(zeros, zeros)


def _saving(linear_map: str, precision: str) -> Callable[..., tuple[Any, Any, Any]]:
    """`(source, rows, layer) -> (images, bias, residuals)`."""
    layer_fn = drawn_layer(WITH_RESIDUALS[linear_map], precision)

    def linear(source: Any, rows: Rows, layer: Any) -> tuple[Any, Any, Any]:
        (images, saved), bias = layer_fn(source, rows, layer)
        return images, bias, saved

    return linear


class Run(NamedTuple):
    """A checkpointed run of a Repeat: stored rows (or residuals), sources, checkpoint shape."""

    stored: Any
    sources: Any
    lengths: tuple[int, ...]


def _forward(layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw) -> tuple[Rows, Any]:
    """Rows after a body, and residuals of its sites."""
    if is_site(layer):
        applied = apply(layer, rows, source, shape, draw)
        return renormalize(applied.rows), (rows, applied.saved)
    if isinstance(layer, Repeat):
        return _forward_runs(layer, rows, source, shape, draw)
    assert isinstance(layer, Sequential)
    residuals = []
    for index, (child, number) in enumerate(zip(layer.layers, layer.keys, strict=True)):
        rows, saved = _forward(child, rows, draw.child(source, number, index), shape, draw)
        residuals.append(saved)
        shape = output_shape(child, shape)
    return rows, residuals


def _forward_runs(
    layer: Repeat, rows: Rows, source: Any, shape: Shape, draw: Draw
) -> tuple[Rows, list[Run]]:
    step = _repeat_step(layer, shape, draw)
    sources, runs = draw.sources(source, layer.first, layer.times), []
    widest = max(shape.size, output_shape(layer.layer, shape).size)
    for lengths in checkpoint_shapes(layer.times, rows, widest):
        here, sources = _split(sources, math.prod(lengths))
        rows, stored = _segments(rows, here, lengths, step)
        runs.append(Run(stored, here, lengths))
    return rows, runs


def _repeat_step(layer: Repeat, shape: Shape, draw: Draw) -> Callable[[Rows, Any], Any]:
    return lambda rows, source: _forward(layer.layer, rows, source, shape, draw)


def _split(sources: Any, count: int) -> tuple[Any, Any]:
    cut = lambda part: jax.tree.map(lambda leaf: leaf[part], sources)
    return cut(slice(count)), cut(slice(count, None))


def _segments(
    rows: Rows, sources: Any, lengths: tuple[int, ...], step: Callable[[Rows, Any], Any]
) -> tuple[Rows, Any]:
    """Output; residuals per layer, or input rows per checkpointing segment."""
    if len(lengths) == 1:
        return scan_layers(step, rows, sources)

    def segment(rows: Rows, sources: Any) -> tuple[Rows, Rows]:
        after, _ = scan_layers(lambda rows, at: (step(rows, at)[0], None), rows, sources)
        return after, rows

    return scan_layers(segment, rows, _cut(sources, lengths[0]))


def _cut(sources: Any, count: int) -> Any:
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *leaf.shape[1:]), sources)


def _backward(
    layer: Layer, residuals: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, Any, WeightsAndBiases | None]:
    """Cotangents of the input; log squared norms and records per site; sums of products."""
    if is_site(layer):
        rows, saved = residuals
        record = () if draw.record is None else draw.record(layer, saved, back)[None]
        norms = log_norm2(back, draw.batch)[None], record
        back, products = pull_back(layer, rows, saved, back, source, shape, draw)
        return rescaled(back), norms, products
    if isinstance(layer, Repeat):
        return _backward_runs(layer, residuals, back, shape, draw)
    assert isinstance(layer, Sequential)
    shapes = [shape]
    for child in layer.layers[:-1]:
        shapes.append(output_shape(child, shapes[-1]))
    parts = list(zip(layer.layers, layer.keys, residuals, shapes, strict=True))
    records: list[Any] = []
    sums: list[WeightsAndBiases | None] = []
    for index, (child, number, saved, before) in reversed(list(enumerate(parts))):
        child_source = draw.child(source, number, index)
        back, norms, product = _backward(child, saved, back, child_source, before, draw)
        records.insert(0, norms)
        sums.insert(0, product)
    return back, _joined(records), _sum(sums)


def _joined(records: list[Any]) -> Any:
    return jax.tree.map(lambda *parts: jnp.concatenate(parts), *records)


def _sum(products: list[WeightsAndBiases | None]) -> WeightsAndBiases | None:
    parts = [product for product in products if product is not None]
    if not parts:
        return None
    weights, biases = zip(*parts, strict=True)
    return sum_of(*weights), sum_of(*biases)


def _backward_runs(
    layer: Repeat, runs: list[Run], back: Cotangents, shape: Shape, draw: Draw
) -> tuple[Cotangents, Any, WeightsAndBiases | None]:
    forward_step = _repeat_step(layer, shape, draw)

    def backward_step(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        residuals, source = at
        back, norms, products = _backward(layer.layer, residuals, back, source, shape, draw)
        return back, (norms, products)

    records: list[Any] = []
    sums: list[WeightsAndBiases | None] = []
    for stored, sources, lengths in reversed(runs):
        steps = forward_step, backward_step
        back, (norms, product) = _segments_back(back, stored, sources, lengths, *steps)
        records.insert(0, norms)
        sums.insert(0, product)
    return back, _joined(records), _sum(sums)


def _segments_back(
    back: Cotangents,
    stored: Any,
    sources: Any,
    lengths: tuple[int, ...],
    forward_step: Callable[[Rows, Any], Any],
    backward_step: Callable[[Cotangents, Any], Any],
) -> tuple[Cotangents, Any]:
    """Cotangents of the input; log squared norms per site and sums of products."""

    def segment(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        rows, sources = at
        _, inside = _segments(rows, sources, lengths[1:], forward_step)
        return _segments_back(back, inside, sources, lengths[1:], forward_step, backward_step)

    step = backward_step
    if len(lengths) > 1:
        step, sources = segment, _cut(sources, lengths[0])
    back, (norms, products) = scan_layers(step, back, (stored, sources), reverse=True)
    norms = jax.tree.map(lambda leaf: leaf.reshape(-1, leaf.shape[-1]), norms)
    return back, (norms, None if products is None else (total(products[0]), total(products[1])))
