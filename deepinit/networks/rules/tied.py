"""Row rule of Tied: one set of weights, used several times.

Gradients by the weights are sums over uses: their products come from one more backward step, on the
rows and cotangents of all uses together, where every map is known (`networks.tied_maps`).
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.layers import Repeat, Shape, Tied
from deepinit.core.layers.containers import children, mixes_batch
from deepinit.core.layers.layer import Layer
from deepinit.core.layers.program import has_own_masks
from deepinit.networks.cotangents import Cotangents, rescaled, sum_of_parts
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
from deepinit.networks.rows import Rows, points_alone
from deepinit.networks.tied_maps import Place, cotangent_use, row_use, seen_cotangents, seen_rows
from deepinit.networks.transposes import transposes


def _forward(layer: Tied, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    times = None if _has_scan(layer.layer) else layer.times
    cotangents, maps = len(draw.points) / len(rows.points), draw.tied

    def step(rows: Rows, known: Any, use: Any, at: Any) -> tuple[Rows, Any, Any]:
        del at
        act = lambda key, rows, map_, known: row_use(
            maps, key, rows, map_, known, use, times, cotangents
        )
        applied, new = _applied(layer, rows, source, shape, draw, act, known)
        return renormalize(applied.rows), None if times is None else new, (rows, applied.saved)

    rows, known, saved = _uses(layer.times, step, renormalize(rows), ())
    return Applied(rows, None, (saved, known))


def _uses(
    times: int, step: Callable[..., tuple[Any, Any, Any]], start: Any, at: Any
) -> tuple[Any, Any, Any]:
    """Steps `(carry, known, use, at) -> (carry, new, record)`; every `new` is added to `known`."""
    carry, new, record = step(start, None, 0, jax.tree.map(lambda leaf: leaf[0], at))
    record = jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], record)
    if times == 1:
        return carry, new, record

    def later(state: Any, at: Any) -> tuple[Any, Any]:
        (carry, known), (use, at) = state, at
        carry, new, record = step(carry, known, use, at)
        place = lambda old, new: jax.lax.dynamic_update_slice(old, new, (use * len(new), 0))
        return (carry, jax.tree.map(place, known, new)), record

    room = lambda leaf: jnp.pad(leaf, ((0, (times - 1) * len(leaf)), (0, 0)))
    others = jnp.arange(1, times), jax.tree.map(lambda leaf: leaf[1:], at)
    (carry, known), records = scan_layers(later, (carry, jax.tree.map(room, new)), others)
    join = lambda one, rest: jnp.concatenate([one, rest])
    return carry, known, jax.tree.map(join, record, records)


def _applied(
    layer: Tied, rows: Rows, source: Any, shape: Shape, draw: Draw, act: Any, known: Any
) -> tuple[Applied, list[Any]]:
    """The layer, with maps by `act(source, rows, map, known)`, and what each of them adds."""
    new: list[Any] = []
    draw = draw._replace(watch=None)
    if draw.tied is None:
        return apply(layer.layer, rows, source, shape, draw), new
    before = iter(known or ())

    def linear(source: Any, rows: Rows, resolved: Any) -> tuple[Any, Any, Any]:
        images, bias, added = act(source, rows, resolved, next(before, None))
        new.append(added)
        return images, bias, None if added is None else Place(len(new) - 1)

    inside = draw._replace(linear=linear, tied=None)
    return apply(layer.layer, rows, source, shape, inside), new


def _has_scan(layer: Layer) -> bool:
    return isinstance(layer, Repeat | Tied) or any(_has_scan(child) for child in children(layer))


def _backward(
    layer: Tied, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    del rows
    _check_independence(layer, shape)
    uses, known = saved
    uses = jax.tree.map(lambda leaf: leaf[::-1], uses)  # the last one first

    def step(back: Cotangents, seen: Any, use: Any, at: Any) -> tuple[Cotangents, Any, Cotangents]:
        inputs, kept = at
        new: list[Any] = [None] * len(known or ())

        def act(place: int, key: Any, vectors: Any, map_: Any, fan_in: int) -> jax.Array:
            left = None if seen is None else seen[place]
            images, new[place] = cotangent_use(
                key, vectors, map_, fan_in, rows=known[place], known=left, use=use
            )
            return images

        inside = _transposing(draw, act)
        into, _ = pull_back(layer.layer, inputs, kept, back, source, shape, inside)
        return rescaled(into), new, back

    into, seen, backs = _uses(layer.times, step, back, uses)
    every, points = _together(uses[0], draw.points)
    maps, joint = draw.tied, draw._replace(points=points)
    act = lambda key, rows, map_, known: seen_rows(maps, key, rows, map_, known)
    kept = _applied(layer, every, source, shape, joint, act, known)[0].saved
    again = lambda place, key, vectors, map_, fan_in: seen_cotangents(
        vectors, map_, fan_in, seen[place]
    )
    joint = _transposing(joint, again)
    by_function = lambda leaf: jnp.swapaxes(leaf, 0, 1).reshape(-1, *leaf.shape[2:])
    backs = jax.tree.map(by_function, backs)
    _, products = pull_back(layer.layer, every, kept, backs, source, shape, joint)
    if products is None:
        return into, None
    weights, biases = products
    return into, (sum_of_parts(weights, layer.times), sum_of_parts(biases, layer.times))


def _transposing(draw: Draw, act: Callable[..., jax.Array]) -> Draw:
    """Transposes of conditional maps by `act(place, key, vectors, map, fan_in)`."""
    outside = draw.transpose
    assert outside is not None

    def transpose(source: Any, saved: Any, *rest: Any) -> tuple[Cotangents, WeightsAndBiases]:
        if not isinstance(saved, Place):
            return outside(source, saved, *rest)
        by_place = lambda key, saved, *of_map: (act(saved.number, key, *of_map), None)
        return transposes(by_place, draw.points)(source, saved, *rest)

    return draw._replace(transpose=transpose)


def _together(inputs: Rows, points: tuple[int, ...]) -> tuple[Rows, tuple[int, ...]]:
    """Points of all uses as one set of rows, and the point of each cotangent."""
    times, num_points = inputs.points.shape[:2]
    every = points_alone(inputs.points.reshape(times * num_points, -1))
    every = dataclasses.replace(every, point_scales=inputs.point_scales.ravel())
    return every, tuple(use * num_points + point for point in points for use in range(times))


def _check_independence(layer: Tied, shape: Shape) -> None:
    separate = has_own_masks(layer.layer)
    if separate or mixes_batch(layer.layer):
        kind = "Dropout with separate masks" if separate else "BatchNorm"
        given = f"{layer.name} (Tied): gradients through {kind}, which counts the inputs"
        remedy = "Take LayerNorm, shared masks, or Repeat."
        raise SpecError(given, "layers that act on every input alone", remedy)


ROWS.rule(Tied)(RowRule(_forward, _backward, is_random=None))
