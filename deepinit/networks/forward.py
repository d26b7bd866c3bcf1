"""The forward pass, written once: rows through the layers, with the linear map as an argument and taps on each layer."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.core.activations import linear as identity
from deepinit.core.laws import Law
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.power_laws import evaluation_range, gains, power_laws
from deepinit.core.rounding import flush_level
from deepinit.core.specs import MLP, ConvResNet, ResNet, Spec
from deepinit.networks import views
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


def _smallest_scale(rows: Rows) -> float:
    """A displacement as small as the square of the rounding unit acts through the derivative alone: phi is not evaluated at smaller ones."""
    return 2.0 * math.log(0.5 * float(jnp.finfo(rows.points.dtype).eps))


class LayerState(NamedTuple):
    """One layer as the taps see it.

    Attributes:
        preactivations: rows z^l; of a residual network, those inside the branch.
        postactivations: rows phi(z^l), or the stream after the block, rescaled (see `networks.rows`). At the output layer
            both are its output.
    """

    preactivations: Rows
    postactivations: Rows


class Segment(NamedTuple):
    """Consecutive layers of one shape: one `lax.scan`."""

    first_layer: int
    length: int
    fan_in: int
    fan_out: int


class Layer(NamedTuple):
    """What a layer's linear map is drawn from: its shape, its laws, the network's depth, and what it sees of a row (None: all)."""

    fan_out: int
    weight_law: Law | MatrixLaw
    bias_law: Law | MatrixLaw | None
    depth: int
    view: views.View | None = None


LayerFn = Callable[[Any, Rows, Layer], tuple[jax.Array, jax.Array | None]]
Tap = Callable[[LayerState], Any]


def segments(spec: Spec, input_width: int) -> tuple[Segment, ...]:
    """The hidden layers (or blocks), numbered from 1, grouped into runs of equal shape.

    Args:
        spec: the network.
        input_width: of what enters the first layer; of a network with an embedding, the inputs' own or the stream's.

    Raises:
        SpecError: inputs of a width that the spec cannot take.
    """
    spec.matrix_shapes(input_width)
    first_width = input_width if embedding_layer(spec) is None else spec.widths[0]
    shapes = list(zip((first_width, *spec.widths[:-1]), spec.widths, strict=True))
    result, first = [], 1
    for (fan_in, fan_out), run in itertools.groupby(shapes):
        length = len(list(run))
        result.append(Segment(first, length, fan_in, fan_out))
        first += length
    return tuple(result)


def embedding_layer(spec: Spec) -> Layer | None:
    """The linear map of the inputs into the stream; None without one."""
    if isinstance(spec, MLP) or spec.embedding_law is None:
        return None
    if isinstance(spec, ConvResNet):
        return Layer(spec.channels, spec.embedding_law, None, spec.depth, views.pixels(spec))
    return Layer(spec.width, spec.embedding_law, None, spec.depth)


def inner_layer(spec: Spec, width: int) -> Layer:
    """The matrix before the activation, in a layer (or block) that produces `width` neurons."""
    assert spec.weight_law is not None
    if isinstance(spec, ConvResNet):
        law, view = spec.weight_law, views.patches(spec)
        if isinstance(law, Law) and law.scaling != "absolute":  # fan_in counts the channels of one position
            law = dataclasses.replace(law, variance=law.variance * view.patch_size)
        return Layer(spec.channels, law, spec.bias_law, spec.depth, view)
    branch_width = spec.branch_width if isinstance(spec, ResNet) else None
    return Layer(branch_width or width, spec.weight_law, spec.bias_law, spec.depth)


def outer_layer(spec: Spec) -> Layer | None:
    """The matrix after the activation in a block of two layers, which leads back to the stream; None elsewhere."""
    if not isinstance(spec, ResNet) or spec.branch_law is None:
        return None
    return Layer(spec.width, spec.branch_law, None, spec.depth)


def output_layer(spec: Spec) -> Layer:
    """The linear output layer."""
    assert spec.output_width is not None
    assert spec.output_law is not None
    bias_law = spec.bias_law if spec.bias_law is not None and spec.bias_law.scaling == "absolute" else None
    view = views.average(spec) if isinstance(spec, ConvResNet) else None
    return Layer(spec.output_width, spec.output_law, bias_law, spec.depth, view)


def random_layer(linear_map: Callable[..., jax.Array], precision: str) -> LayerFn:
    """A layer function that draws its linear map and bias from the layer's key."""

    def layer_fn(key: Any, rows: Rows, layer: Layer) -> tuple[jax.Array, jax.Array | None]:
        weight_key, dtype = jax.random.fold_in(key, 0), rows.points.dtype
        bias = None
        if layer.bias_law is not None:
            bias_key, shape = jax.random.fold_in(key, 1), (layer.fan_out, 1)
            bias = layer.bias_law.sample(bias_key, shape, depth=layer.depth, dtype=dtype)[:, 0]
        return linear_map(weight_key, rows, layer.weight_law, layer.fan_out, layer.depth, precision), bias

    return layer_fn


def layer_keys(spec: Spec, key: Any, segment: Segment) -> dict[str, Any]:
    """Layer l's key is `fold_in(key, l)`, whatever the segments; a block's outer matrix has `fold_in(., 2)` of it."""
    inner = jax.vmap(lambda layer: jax.random.fold_in(key, layer))(
        segment.first_layer + jnp.arange(segment.length, dtype=jnp.uint32)
    )
    if outer_layer(spec) is None:
        return {"inner": inner}
    return {"inner": inner, "outer": jax.vmap(lambda layer_key: jax.random.fold_in(layer_key, 2))(inner)}


def end_keys(spec: Spec, key: Any) -> dict[str, Any]:
    """Keys of the linear maps before and after the hidden layers."""
    return {"output": jax.random.fold_in(key, spec.depth + 1), "embedding": jax.random.fold_in(key, spec.depth + 2)}


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
    free, outer, is_residual = rows.partners_are_free, outer_layer(spec), not isinstance(spec, MLP)
    rows, taps = rows.with_known(), []
    runs, embedding = segments(spec, rows.points.shape[1]), embedding_layer(spec)

    def settle(rows: Rows) -> Rows:
        rows = detect_events(rows.with_known(), absorbing=free)
        if free:
            rows = orthogonalize_partners(rows)
        return orthonormalize_frames(rescale(rows))

    if embedding is not None:
        rows = settle(linear(rows, ends["embedding"], embedding, layer_fn))
    for segment, source in zip(runs, sources, strict=True):
        inner = inner_layer(spec, segment.fan_out)

        def step(rows: Rows, source: Any, inner: Layer = inner) -> tuple[Rows, Any]:
            seen = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
            before = linear(seen, source["inner"], inner, layer_fn)
            after = activate(before, spec.activation)
            if outer is not None:
                after = linear(after, source["outer"], outer, layer_fn)
            after = settle(rows.plus(after) if is_residual else after)
            return after, tap(LayerState(before, after))

        if segment.length == 1:
            rows, record = step(rows, jax.tree.map(lambda leaf: leaf[0], source))
            record = jax.tree.map(lambda leaf: leaf[None], record)
        else:
            rows, record = jax.lax.scan(step, rows, source)
        taps.append(record)
    if spec.output_width is not None:
        rows = orthonormalize_frames(linear(rows, ends["output"], output_layer(spec), layer_fn))
        if tap_output:
            taps.append(jax.tree.map(lambda leaf: leaf[None], tap(LayerState(rows, rows))))
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *taps), rows


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


def activate(rows: Rows, activation: Activation) -> Rows:
    """phi of the points, phi' times the tangents, and the exact difference phi(z + dz) - phi(z) of every displacement.

    A positively homogeneous activation does not see the points' scale s. Any other is evaluated at exp(s) z, or, where exp(s) is so small
    or so large that the activation is a power there, at the end of the range in between (see `core.power_laws`).
    """
    if activation == identity:
        return rows
    if activation.is_homogeneous:
        return _activate(rows, activation, jnp.zeros_like(rows.point_scales))
    laws = power_laws(activation)
    within = jnp.clip(rows.point_scales, *(math.log(2.0) * end for end in evaluation_range(laws, rows.points.dtype)))
    after, beyond, base = _activate(rows, activation, within), rows.point_scales - within, rows.of_bases(rows.points)
    value = gains(laws.values, beyond, after.points, rows.points)
    partner = base + jnp.exp(rows.displacement_scales)[:, None] * rows.displacements
    difference = gains(laws.differences, rows.of_bases(beyond), after.displacements, base, partner)
    tangents, stretches = after.tangents, after.log_stretches
    if tangents is not None:
        at = rows.of_frame_bases(rows.points)[:, None]
        slope = gains(laws.derivatives, rows.of_frame_bases(beyond)[:, None], tangents, at)
        tangents, stretches = tangents * jnp.exp(slope.entries), stretches + slope.row
    after = dataclasses.replace(
        after,
        points=after.points * jnp.exp(value.entries),
        displacements=after.displacements * jnp.exp(difference.entries),
        tangents=tangents,
        point_scales=within + value.row,
        displacement_scales=after.displacement_scales + difference.row - rows.of_bases(value.row),
        log_stretches=stretches,
    )
    smallest = flush_level(activation)
    return flushed(after, smallest) if smallest else after


def _activate(rows: Rows, activation: Activation, scales: jax.Array) -> Rows:
    """The same with points of log-scale `scales` [num_points], which they keep."""
    size = jnp.exp(scales)[:, None]
    points, tangents = size * rows.points, rows.tangents
    if tangents is not None:
        tangents = rows.of_frame_bases(activation.derivative(points))[:, None] * tangents
    step = jnp.exp(jnp.maximum(rows.of_bases(scales) + rows.displacement_scales, _smallest_scale(rows)))[:, None]
    displacements = activation.difference(rows.of_bases(points), step * rows.displacements) / step
    return dataclasses.replace(
        rows, points=activation(points) / size, displacements=displacements, tangents=tangents, known=None
    )


def flushed(rows: Rows, smallest: float) -> Rows:
    """Coordinates of points, partners and tangents become 0 where the point, or the partner, is below `smallest`.

    Compared by logarithms, since the smallest value of interest (2^-126 in float32) has no place in the dtype beside the scale.
    """
    least = math.log(smallest) - rows.point_scales
    keep = ~(jnp.log(jnp.abs(rows.points)) < least[:, None])  # what is not a number stays
    base, keep_base = rows.of_bases(rows.points), rows.of_bases(keep)
    step = jnp.exp(jnp.maximum(rows.displacement_scales, _smallest_scale(rows)))[:, None]
    partner = base + step * rows.displacements
    keep_partner = ~(jnp.log(jnp.abs(partner)) < rows.of_bases(least)[:, None])
    one_only = jnp.where(keep_partner, partner, -base) / step
    both = jnp.where(keep_base, rows.displacements, 0)
    displacements = jnp.where(keep_base == keep_partner, both, one_only)
    tangents = None if rows.tangents is None else rows.of_frame_bases(keep)[:, None] * rows.tangents
    return dataclasses.replace(
        rows, points=jnp.where(keep, rows.points, 0), displacements=displacements, tangents=tangents, known=None
    )


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
    sources = tuple(layer_keys(spec, key, segment) for segment in segments(spec, rows.points.shape[1]))
    layer_fn = random_layer(linear_map, precision)
    return forward(spec, rows, layer_fn, sources, end_keys(spec, key), tap, tap_output=tap_output)
