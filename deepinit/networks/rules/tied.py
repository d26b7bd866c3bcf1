"""Row rule of Tied: one set of weights, used several times.

Gradients by the weights, sums over uses, come from one more backward step on the rows of all uses.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.layers import Dropout, Repeat, Shape, Tied
from deepinit.core.layers.containers import children, leaves
from deepinit.core.layers.layer import Layer
from deepinit.networks.cotangents import Cotangents, rescaled, sum_of_parts
from deepinit.networks.interpreter import (
    ROWS,
    Applied,
    Draw,
    RowRule,
    WeightsAndBiases,
    apply,
    couples_inputs,
    pull_back,
    renormalize,
    scan_layers,
)
from deepinit.networks.rows import Rows, points_alone


def _forward(layer: Tied, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    rows = renormalize(rows)
    first, known = _use(layer, rows, source, shape, draw, 0, None)
    saved: Any = (rows, first.saved)
    after = renormalize(first.rows)
    if layer.times == 1:
        return Applied(after, None, _stacked(saved))

    def step(carry: Any, use: jax.Array) -> tuple[Any, Any]:
        inputs, known = carry
        applied, more = _use(layer, inputs, source, shape, draw, use, known)
        place = lambda old, new: jax.lax.dynamic_update_slice(old, new, (use * len(new), 0))
        known = jax.tree.map(place, known, more)
        return (renormalize(applied.rows), known), (inputs, applied.saved)

    room = lambda leaf: jnp.pad(leaf, ((0, (layer.times - 1) * len(leaf)), (0, 0)))
    start = after, jax.tree.map(room, known)
    (after, _), others = scan_layers(step, start, jnp.arange(1, layer.times))
    join = lambda one, rest: jnp.concatenate([one, rest])
    return Applied(after, None, jax.tree.map(join, _stacked(saved), others))


def _stacked(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], tree)


def _use(
    layer: Tied, rows: Rows, source: Any, shape: Shape, draw: Draw, use: Any, known: Any
) -> tuple[Applied, list[Any]]:
    """One use, and what it adds to the knowledge of every map."""
    tied = draw.tied
    if tied is None:
        return apply(layer.layer, rows, source, shape, draw), []
    times = None if _has_scan(layer.layer) else layer.times
    more: list[Any] = []
    before = iter(known or ())

    def linear(source: Any, rows: Rows, resolved: Any) -> tuple[Any, Any, Any]:
        images, bias, saved, new = tied(source, rows, resolved, times, use, next(before, None))
        more.append(new)
        return images, bias, saved

    inside = draw._replace(linear=linear, tied=None)
    applied = apply(layer.layer, rows, source, shape, inside)
    return applied, [] if times is None else more


def _has_scan(layer: Layer) -> bool:
    return isinstance(layer, Repeat | Tied) or any(_has_scan(child) for child in children(layer))


def _backward(
    layer: Tied, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    del rows
    _check_independence(layer, shape)

    def step(back: Cotangents, at: Any) -> tuple[Cotangents, Cotangents]:
        inputs, kept = at
        into, _ = pull_back(layer.layer, inputs, kept, back, source, shape, draw)
        return rescaled(into), back

    into, backs = scan_layers(step, back, saved, reverse=True)
    times, inputs = layer.times, saved[0]
    num_points = inputs.points.shape[1]
    every = points_alone(inputs.points.reshape(times * num_points, -1))
    every = dataclasses.replace(every, point_scales=inputs.point_scales.ravel())
    points = [use * num_points + point for point in draw.points for use in range(times)]
    joint = draw._replace(points=tuple(points))
    kept = _use(layer, every, source, shape, joint, 0, None)[0].saved
    by_function = lambda leaf: jnp.swapaxes(leaf, 0, 1).reshape(-1, *leaf.shape[2:])
    backs = jax.tree.map(by_function, backs)
    _, products = pull_back(layer.layer, every, kept, backs, source, shape, joint)
    if products is None:
        return into, None
    weights, biases = products
    return into, (sum_of_parts(weights, times), sum_of_parts(biases, times))


def _check_independence(layer: Tied, shape: Shape) -> None:
    separate = any(isinstance(leaf, Dropout) and not leaf.shared for leaf in leaves(layer.layer))
    if separate or couples_inputs(layer.layer):
        kind = "Dropout with separate masks" if separate else "BatchNorm"
        given = f"{layer.name} (Tied): gradients through {kind}, which counts the inputs"
        remedy = "Take LayerNorm, shared masks, or Repeat."
        raise SpecError(given, "layers that act on every input alone", remedy)


ROWS.rule(Tied)(RowRule(_forward, _backward, is_random=None))
