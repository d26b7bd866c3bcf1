"""Forward pass of rows, with any linear map and taps."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.specs import MLP, Spec
from deepinit.networks.activate import activate
from deepinit.networks.layers import (
    Layer,
    boundary_keys,
    embedding_layer,
    inner_layer,
    layer_keys,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.renormalization import (
    detect_events,
    orthogonalize_partners,
    orthonormalize_frames,
    rescale,
)
from deepinit.networks.rows import Rows, points_alone, register_rows

register_rows()


class LayerState(NamedTuple):
    """Input of a tap; both are the output at the output layer.

    Attributes:
        preactivations: rows z^l, inside a residual branch.
        postactivations: rows phi(z^l), or the stream after a block, rescaled.
    """

    preactivations: Rows
    postactivations: Rows


LayerFn = Callable[[Any, Rows, Layer], tuple[jax.Array, jax.Array | None]]
Tap = Callable[[LayerState], Any]


def random_layer(linear_map: Callable[..., jax.Array], precision: str) -> LayerFn:
    """Layer function that draws weights and biases."""

    def layer_fn(key: jax.Array, rows: Rows, layer: Layer) -> tuple[jax.Array, jax.Array | None]:
        fan_out, law, depth = layer.fan_out, layer.weight_law, layer.depth
        images = linear_map(jax.random.fold_in(key, 0), rows, law, fan_out, depth, precision)
        if layer.bias_law is None:
            return images, None
        bias_key, dtype = jax.random.fold_in(key, 1), rows.points.dtype
        bias = layer.bias_law.sample(bias_key, (fan_out, 1), depth=depth, dtype=dtype)
        return images, bias[:, 0]

    return layer_fn


def forward(
    spec: Spec,
    rows: Rows,
    layer_fn: LayerFn,
    sources: tuple[Any, ...],
    boundary: dict[str, Any],
    tap: Tap,
    *,
    tap_output: bool = False,
) -> tuple[Any, Rows]:
    """Taps of the hidden layers, and rows of the output layer or last activation.

    Args:
        layer_fn: `(source, rows of width fan_in, layer) -> (images of rows.stacked [k, fan_out],
            bias [fan_out] or None)`.
        sources: per segment, stacked keys or parameters of layers, `{"inner": ...}`, of two-layer
            blocks also `"outer"`.
        boundary: keys or parameters of `"embedding"` and `"output"`.
        tap: record of a layer; with `tap_output` of the output layer too.
    """
    rows, taps, input_width = rows.with_inner_products(), [], rows.points.shape[1]
    embedding = embedding_layer(spec)
    if embedding is not None:
        rows = renormalize(linear(rows, boundary["embedding"], embedding, layer_fn))
    for segment, source in zip(segments(spec, input_width), sources, strict=True):

        def step(rows: Rows, source: Any, width: int = segment.fan_out) -> tuple[Rows, Any]:
            rows, state = layer_step(spec, width, rows, source, layer_fn)
            return rows, tap(state)

        rows, record = scan_layers(step, rows, source)
        taps.append(record)
    if spec.output_width is not None:
        rows = orthonormalize_frames(linear(rows, boundary["output"], output_layer(spec), layer_fn))
        if tap_output:
            taps.append(jax.tree.map(lambda leaf: leaf[None], tap(LayerState(rows, rows))))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *taps), rows


def scan_layers(
    step: Callable[[Any, Any], Any], carry: Any, sources: Any, *, reverse: bool = False
) -> Any:
    """`lax.scan`; a single step runs outside: its carry may change shape."""
    if len(jax.tree.leaves(sources)[0]) > 1:
        return jax.lax.scan(step, carry, sources, reverse=reverse)
    carry, record = step(carry, jax.tree.map(lambda leaf: leaf[0], sources))
    return carry, jax.tree.map(lambda leaf: leaf[None], record)


def layer_step(
    spec: Spec, width: int, rows: Rows, source: Any, layer_fn: LayerFn
) -> tuple[Rows, LayerState]:
    """One hidden layer or block."""
    outer = outer_layer(spec)
    inner = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
    before = linear(inner, source["inner"], inner_layer(spec, width), layer_fn)
    after = activate(before, spec.activation)
    if outer is not None:
        after = linear(after, source["outer"], outer, layer_fn)
    after = renormalize(after if isinstance(spec, MLP) else rows.plus(after))
    return after, LayerState(before, after)


def renormalize(rows: Rows) -> Rows:
    """Mark events, move scales out of rows, orthonormalize frames."""
    rows = detect_events(rows.with_inner_products(), absorbing=rows.scale_invariant)
    if rows.scale_invariant:
        rows = orthogonalize_partners(rows)
    return orthonormalize_frames(rescale(rows))


def linear(rows: Rows, source: Any, layer: Layer, layer_fn: LayerFn) -> Rows:
    """Rows after a layer's linear map and bias."""
    if layer.view is None:
        return affine(rows, *layer_fn(source, rows, layer))
    stacked = rows.stacked
    images, bias = layer_fn(source, points_alone(layer.view.extract(stacked)), layer)
    assembled = layer.view.assemble(images, len(stacked))
    return affine(rows, assembled, None if bias is None else layer.view.tile(bias))


def affine(rows: Rows, images: jax.Array, bias: jax.Array | None) -> Rows:
    """Rows after a linear map; the bias shifts points, at their scale."""
    if bias is None:
        return rows.with_rows(images)
    return rows.with_rows(images, points_shift=jnp.exp(-rows.point_scales)[:, None] * bias)


def random_forward(
    spec: Spec,
    rows: Rows,
    key: jax.Array,
    tap: Tap,
    *,
    linear_map: Callable[..., jax.Array],
    precision: str = "highest",
    tap_output: bool = False,
) -> tuple[Any, Rows]:
    """`forward` of random layers: layer l draws from `fold_in(key, l)`."""
    parts = segments(spec, rows.points.shape[1])
    sources = tuple(layer_keys(spec, key, segment) for segment in parts)
    layer_fn, boundary = random_layer(linear_map, precision), boundary_keys(spec, key)
    return forward(spec, rows, layer_fn, sources, boundary, tap, tap_output=tap_output)
