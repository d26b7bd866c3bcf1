"""Rows through layers, forward and backward: `ROWS` holds one rule per layer kind.

Rows of one input are one vector [positions * width], positions first, at one log-scale. A
`RowRule`:
    forward(layer, rows, source, shape, draw) -> Applied
    backward(layer, rows, saved, back, source, shape, draw) -> (Cotangents, products)
`rows` are the input rows, `shape` that of one input, `source` a key (or parameters), `saved` what
the forward rule kept.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.layers import Layer, Repeat, Sequential, Shape, Table, expanded, output_shape
from deepinit.core.layers.containers import child_paths, children, joined, kind_name
from deepinit.core.layers.program import is_site
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.renormalization import (
    detect_events,
    orthogonalize_partners,
    orthonormalize_frames,
    rescale,
)
from deepinit.networks.rows import Rows, register_rows
from deepinit.networks.tied_maps import TiedMaps
from deepinit.networks.watch import Watch

register_rows()
jax.tree_util.register_static(Shape)  # no leaves: taps see it as it is

WeightsAndBiases = tuple[Products, Products]
LayerFn = Callable[[Any, Rows, LinearLayer], tuple[jax.Array, jax.Array | None, Any]]
Transpose = Callable[..., tuple[Cotangents, WeightsAndBiases]]


class Draw(NamedTuple):
    """How random layers are drawn.

    Attributes:
        linear: `(source, rows, layer) -> (images of rows.stacked, bias or None, saved)`.
        child: `(source, number, index) -> source` of a child: keys fold the number in (None: the
            key itself), parameters are indexed.
        sources: `(source, first, times) -> sources` of a Repeat, stacked.
        depth: of the network.
        transpose: of linear maps, on the backward pass.
        points: index of the point that every cotangent belongs to.
        batch: cotangents per function; they belong to all points of a batch, or 1.
        tied: of maps that are used again; None for `linear`, which draws W again.
        watch: keeps the rows of every call for taps; None for none.
        record: `(layer, saved, cotangents) -> [length]` of sites on the backward pass.
    """

    linear: LayerFn
    child: Callable[[Any, int | None, int], Any]
    sources: Callable[[Any, int, int], Any]
    depth: int
    transpose: Transpose | None = None
    points: tuple[int, ...] = ()
    batch: int = 1
    tied: TiedMaps | None = None
    watch: Watch | None = None
    record: Callable[..., Any] | None = None


class Applied(NamedTuple):
    """Rows after a layer.

    `before`: rows before its last activation, or None. `saved`: for the backward rule. `notes`:
    other arrays for taps (attention weights of the points).
    """

    rows: Rows
    before: Rows | None = None
    saved: Any = ()
    notes: Any = None


class LayerState(NamedTuple):
    """Input of a tap; both rows are the output at the output layer.

    Attributes:
        preactivations: rows before the last activation.
        postactivations: rows after the layer, or the stream after a block, rescaled.
        notes: of `Applied`.
        shape: of one input after the layer (static).
        watch: rows of the calls inside, if asked.
    """

    preactivations: Rows
    postactivations: Rows
    notes: Any = None
    shape: Shape | None = None
    watch: Watch | None = None


class RowRule(NamedTuple):
    """The rule of a layer kind.

    Attributes:
        is_random: whether the layer draws; None asks the children.
        check: `(layer, shape, rows of the network's inputs, path)` raises SpecError.
    """

    forward: Callable[..., Applied]
    backward: Callable[..., tuple[Cotangents, WeightsAndBiases | None]]
    is_random: bool | None = False
    check: Callable[..., None] | None = None


ROWS: Table[RowRule] = Table("simulate")
Tap = Callable[[LayerState], Any]


def apply(layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    """Rows after a layer, by its rule or its expansion."""
    rule, simpler = _rule(layer, shape)
    if draw.watch is None:
        return rule.forward(simpler, rows, source, shape, draw)
    draw.watch.enter(layer)
    applied = rule.forward(simpler, rows, source, shape, draw)
    draw.watch.leave(layer, rows, applied.rows, shape)
    return applied


def pull_back(
    layer: Layer, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, WeightsAndBiases | None]:
    """Cotangents of a layer's input, and parameter products (None without parameters)."""
    rule, layer = _rule(layer, shape)
    return rule.backward(layer, rows, saved, back, source, shape, draw)


def _rule(layer: Layer, shape: Shape) -> tuple[RowRule, Layer]:
    rule = ROWS.get(layer)
    if rule is None:
        layer = expanded(layer, shape)
        rule = ROWS.find(layer)
    return rule, layer


def is_random(layer: Layer) -> bool:
    """Whether a layer draws; others are computed again on the backward pass."""
    rule = ROWS.get(layer)
    if rule is None:
        return True  # layers that are expanded have random maps
    if rule.is_random is not None:
        return rule.is_random
    return any(is_random(child) for child in children(layer))


def check_rules(layer: Layer, shape: Shape, rows: Rows, path: str = "") -> None:
    """SpecError, by path, for a layer without a rule, or inputs that its rule refuses."""
    if ROWS.get(layer) is None and expanded(layer, shape) is layer:
        ROWS.find(layer, path)
    rule, layer = _rule(layer, shape)
    if rule.check is not None:
        rule.check(layer, shape, rows, path)
    if isinstance(layer, Sequential):
        for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
            check_rules(child, shape, rows, child_path)
            shape = output_shape(child, shape, child_path)
    else:
        for child in children(layer):
            check_rules(child, shape, rows, joined(path, kind_name(child)))


def renormalize(rows: Rows) -> Rows:
    """Mark events, move scales out of rows, orthonormalize frames."""
    rows = detect_events(rows.with_inner_products(), absorbing=rows.scale_invariant)
    if rows.scale_invariant:
        rows = orthogonalize_partners(rows)
    return orthonormalize_frames(rescale(rows))


def walk(
    layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw, tap: Tap
) -> tuple[Rows, Any]:
    """Rows after a body, and the records of its sites, stacked."""
    if is_site(layer):
        return _site(layer, rows, source, shape, draw, tap)
    if isinstance(layer, Repeat):

        def step(rows: Rows, source: Any) -> tuple[Rows, Any]:
            return walk(layer.layer, rows, source, shape, draw, tap)

        sources = draw.sources(source, layer.first, layer.times)
        rows, records = scan_layers(step, rows, sources)
        return rows, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), records)
    assert isinstance(layer, Sequential)
    records = []
    for index, (child, number) in enumerate(zip(layer.layers, layer.keys, strict=True)):
        child_source = draw.child(source, number, index)
        rows, record = walk(child, rows, child_source, shape, draw, tap)
        shape = output_shape(child, shape)
        records.append(record)
    return rows, jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *records)


def _site(
    layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw, tap: Tap
) -> tuple[Rows, Any]:
    watch = None if draw.watch is None else Watch()
    applied = apply(layer, rows, source, shape, draw._replace(watch=watch))
    rows = renormalize(applied.rows)
    before = rows if applied.before is None else applied.before
    record = tap(LayerState(before, rows, applied.notes, output_shape(layer, shape), watch))
    return rows, jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], record)


def scan_layers(
    step: Callable[[Any, Any], Any], carry: Any, sources: Any, *, reverse: bool = False
) -> Any:
    """`lax.scan`; a single step runs outside: its carry may change shape."""
    if len(jax.tree.leaves(sources)[0]) > 1:
        return jax.lax.scan(step, carry, sources, reverse=reverse)
    carry, record = step(carry, jax.tree.map(lambda leaf: leaf[0], sources))
    return carry, jax.tree.map(lambda leaf: leaf[None], record)


def key_source(source: Any, number: int | None, index: int) -> Any:
    """The key of a child."""
    del index
    return source if number is None else jax.random.fold_in(source, number)


def key_sources(source: Any, first: int, times: int) -> Any:
    """The keys of a Repeat."""
    numbers = first + jnp.arange(times, dtype=jnp.uint32)
    return jax.vmap(lambda number: jax.random.fold_in(source, number))(numbers)
