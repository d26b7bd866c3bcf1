"""The forward pass, written once: rows through the layers, with the linear map as an argument and taps on each layer."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.specs import MLP, Spec
from deepinit.networks.activate import activate
from deepinit.networks.layers import (
    Layer,
    embedding_layer,
    end_keys,
    inner_layer,
    layer_keys,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.rows import (
    Rows,
    detect_events,
    orthogonalize_partners,
    orthonormalize_frames,
    points_alone,
    register_rows,
    rescale,
)

register_rows()


class LayerState(NamedTuple):
    """One layer as the taps see it.

    Attributes:
        preactivations: rows z^l; of a residual network, those inside the branch.
        postactivations: rows phi(z^l), or the stream after the block, rescaled (see `networks.rows`). At the output layer
            both are its output.
    """

    preactivations: Rows
    postactivations: Rows


LayerFn = Callable[[Any, Rows, Layer], tuple[jax.Array, jax.Array | None]]
Tap = Callable[[LayerState], Any]


def random_layer(linear_map: Callable[..., jax.Array], precision: str) -> LayerFn:
    """A layer function that draws its linear map and bias from the layer's key."""

    def layer_fn(key: Any, rows: Rows, layer: Layer) -> tuple[jax.Array, jax.Array | None]:
        weight_key, dtype = jax.random.fold_in(key, 0), rows.points.dtype
        bias = None
        if layer.bias_law is not None:
            bias_key, shape = jax.random.fold_in(key, 1), (layer.fan_out, 1)
            bias = layer.bias_law.sample(bias_key, shape, depth=layer.depth, dtype=dtype)[:, 0]
        return linear_map(
            weight_key, rows, layer.weight_law, layer.fan_out, layer.depth, precision
        ), bias

    return layer_fn


def forward(
    spec: Spec,
    rows: Rows,
    layer_fn: LayerFn,
    sources: tuple[Any, ...],
    ends: dict[str, Any],
    tap: Tap,
    *,
    tap_output: bool = False,
) -> tuple[Any, Rows]:
    """Passes rows through the network.

    Args:
        spec: the network's description.
        rows: rows of the input layer.
        layer_fn: `(source, rows of width fan_in, layer) -> (images of rows.stacked [k, fan_out], bias [fan_out] or None)`.
        sources: per segment of `segments(spec, input_width)`, what its matrices are made from (keys, or parameters), with
            the layers as leading axis: `{"inner": ...}`, of two-layer blocks also `"outer"`.
        ends: the same for the linear maps `"embedding"` and `"output"`, where the spec has them.
        tap: what is recorded of every hidden layer; nothing else is kept.
        tap_output: record it of the output layer too, as the last one.

    Returns:
        The taps with a leading axis of layers, and the rows of the output layer (of the last hidden layer after its
        activation where the spec has no output layer).
    """
    rows, taps = rows.with_known(), []
    runs, embedding = segments(spec, rows.points.shape[1]), embedding_layer(spec)
    if embedding is not None:
        rows = settle(linear(rows, ends["embedding"], embedding, layer_fn))
    for segment, source in zip(runs, sources, strict=True):

        def step(rows: Rows, source: Any, width: int = segment.fan_out) -> tuple[Rows, Any]:
            rows, state = layer_step(spec, width, rows, source, layer_fn)
            return rows, tap(state)

        rows, record = scan_layers(step, rows, source)
        taps.append(record)
    if spec.output_width is not None:
        rows = orthonormalize_frames(linear(rows, ends["output"], output_layer(spec), layer_fn))
        if tap_output:
            taps.append(jax.tree.map(lambda leaf: leaf[None], tap(LayerState(rows, rows))))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *taps), rows


def scan_layers(
    step: Callable[[Any, Any], Any], carry: Any, sources: Any, *, reverse: bool = False
) -> Any:
    """`lax.scan`; a single step is taken outside, since what it carries may change its shape."""
    if len(jax.tree.leaves(sources)[0]) > 1:
        return jax.lax.scan(step, carry, sources, reverse=reverse)
    carry, record = step(carry, jax.tree.map(lambda leaf: leaf[0], sources))
    return carry, jax.tree.map(lambda leaf: leaf[None], record)


def layer_step(
    spec: Spec, width: int, rows: Rows, source: Any, layer_fn: LayerFn
) -> tuple[Rows, LayerState]:
    """One hidden layer, or one block, that produces `width` neurons from what enters it."""
    outer = outer_layer(spec)
    seen = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
    before = linear(seen, source["inner"], inner_layer(spec, width), layer_fn)
    after = activate(before, spec.activation)
    if outer is not None:
        after = linear(after, source["outer"], outer, layer_fn)
    after = settle(after if isinstance(spec, MLP) else rows.plus(after))
    return after, LayerState(before, after)


def settle(rows: Rows) -> Rows:
    """Rows ready for the next layer: events marked, scales moved out, frames orthonormal."""
    free = rows.partners_are_free
    rows = detect_events(rows.with_known(), absorbing=free)
    if free:
        rows = orthogonalize_partners(rows)
    return orthonormalize_frames(rescale(rows))


def linear(rows: Rows, source: Any, layer: Layer, layer_fn: LayerFn) -> Rows:
    """Rows after the layer's linear map and bias, in the layer's own view of them."""
    if layer.view is None:
        return affine(rows, *layer_fn(source, rows, layer))
    stacked = rows.stacked
    images, bias = layer_fn(source, points_alone(layer.view.seen(stacked)), layer)
    together = layer.view.put_together(images, len(stacked))
    return affine(rows, together, None if bias is None else layer.view.of_bias(bias))


def affine(rows: Rows, images: jax.Array, bias: jax.Array | None) -> Rows:
    """Rows after a linear map, with the bias added to the points (displacements carry none) at the points' scale."""
    if bias is None:
        return rows.with_rows(images)
    return rows.with_rows(images, points_shift=jnp.exp(-rows.point_scales)[:, None] * bias)


def random_forward(
    spec: Spec,
    rows: Rows,
    key: Any,
    tap: Tap,
    *,
    linear_map: Callable[..., jax.Array],
    precision: str = "highest",
    tap_output: bool = False,
) -> tuple[Any, Rows]:
    """`forward` through the random network of this key: layer l from `fold_in(key, l)`, the output layer last."""
    sources = tuple(
        layer_keys(spec, key, segment) for segment in segments(spec, rows.points.shape[1])
    )
    layer_fn = random_layer(linear_map, precision)
    return forward(spec, rows, layer_fn, sources, end_keys(spec, key), tap, tap_output=tap_output)
