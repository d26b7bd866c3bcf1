"""Layers of a spec: shapes, laws, views, keys."""

import dataclasses
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.laws import Law
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.specs import MLP, ConvResNet, ResNet, Spec
from deepinit.networks import views


class Segment(NamedTuple):
    """Consecutive layers of one shape."""

    first_layer: int
    length: int
    fan_in: int
    fan_out: int


class Layer(NamedTuple):
    """One random linear map of a network of this depth."""

    fan_out: int
    weight_law: Law | MatrixLaw
    bias_law: Law | MatrixLaw | None
    depth: int
    view: views.View | None = None


def segments(spec: Spec, input_width: int) -> tuple[Segment, ...]:
    """Hidden layers (or blocks), numbered from 1, in segments of equal shape.

    With an embedding, `input_width` is of inputs or stream.

    Raises:
        SpecError: an input width that does not fit the spec.
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
    """Linear map from inputs to the stream, if any."""
    if isinstance(spec, MLP) or spec.embedding_law is None:
        return None
    if isinstance(spec, ConvResNet):
        return Layer(spec.channels, spec.embedding_law, None, spec.depth, views.pixels(spec))
    return Layer(spec.width, spec.embedding_law, None, spec.depth)


def inner_layer(spec: Spec, width: int) -> Layer:
    """Matrix before the activation, at `width` neurons."""
    assert spec.weight_law is not None
    if isinstance(spec, ConvResNet):
        law, view = spec.weight_law, views.patches(spec)
        if isinstance(law, Law) and law.scaling != "absolute":
            # fan_in counts the channels of one position
            law = dataclasses.replace(law, variance=law.variance * view.patch_size)
        return Layer(spec.channels, law, spec.bias_law, spec.depth, view)
    branch_width = spec.branch_width if isinstance(spec, ResNet) else None
    return Layer(branch_width or width, spec.weight_law, spec.bias_law, spec.depth)


def outer_layer(spec: Spec) -> Layer | None:
    """Matrix after the activation of a two-layer block."""
    if not isinstance(spec, ResNet) or spec.branch_law is None:
        return None
    return Layer(spec.width, spec.branch_law, None, spec.depth)


def output_layer(spec: Spec) -> Layer:
    """Linear map from last hidden layer to outputs."""
    assert spec.output_width is not None
    assert spec.output_law is not None
    bias_law = spec.bias_law
    if bias_law is not None and bias_law.scaling != "absolute":
        bias_law = None
    view = views.average(spec) if isinstance(spec, ConvResNet) else None
    return Layer(spec.output_width, spec.output_law, bias_law, spec.depth, view)


def layer_key(spec: Spec, key: jax.Array, layer: Any) -> dict[str, Any]:
    """`fold_in(key, l)`, and its `fold_in(., 2)` for an outer matrix."""
    inner = jax.random.fold_in(key, layer)
    if outer_layer(spec) is None:
        return {"inner": inner}
    return {"inner": inner, "outer": jax.random.fold_in(inner, 2)}


def layer_numbers(segment: Segment) -> jax.Array:
    """[length], from 1."""
    return segment.first_layer + jnp.arange(segment.length, dtype=jnp.uint32)


def layer_keys(spec: Spec, key: jax.Array, segment: Segment) -> dict[str, Any]:
    """`layer_key` of a segment's layers, stacked."""
    return jax.vmap(lambda layer: layer_key(spec, key, layer))(layer_numbers(segment))


def boundary_keys(spec: Spec, key: jax.Array) -> dict[str, Any]:
    """Keys of the embedding and output layers."""
    output, embedding = spec.depth + 1, spec.depth + 2
    return {
        "output": jax.random.fold_in(key, output),
        "embedding": jax.random.fold_in(key, embedding),
    }
