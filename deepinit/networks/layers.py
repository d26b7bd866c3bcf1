"""The layers of a spec: shapes, laws, what each sees of a row, and the keys that they are drawn from."""

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
        if (
            isinstance(law, Law) and law.scaling != "absolute"
        ):  # fan_in counts the channels of one position
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
    bias_law = (
        spec.bias_law if spec.bias_law is not None and spec.bias_law.scaling == "absolute" else None
    )
    view = views.average(spec) if isinstance(spec, ConvResNet) else None
    return Layer(spec.output_width, spec.output_law, bias_law, spec.depth, view)


def layer_key(spec: Spec, key: Any, layer: Any) -> dict[str, Any]:
    """Layer l's key is `fold_in(key, l)`, whatever the segments; a block's outer matrix has `fold_in(., 2)` of it."""
    inner = jax.random.fold_in(key, layer)
    if outer_layer(spec) is None:
        return {"inner": inner}
    return {"inner": inner, "outer": jax.random.fold_in(inner, 2)}


def layer_numbers(segment: Segment) -> jax.Array:
    """[length], from 1."""
    return segment.first_layer + jnp.arange(segment.length, dtype=jnp.uint32)


def layer_keys(spec: Spec, key: Any, segment: Segment) -> dict[str, Any]:
    """Keys of all layers of a segment, stacked."""
    return jax.vmap(lambda layer: layer_key(spec, key, layer))(layer_numbers(segment))


def end_keys(spec: Spec, key: Any) -> dict[str, Any]:
    """Keys of the linear maps before and after the hidden layers."""
    return {
        "output": jax.random.fold_in(key, spec.depth + 1),
        "embedding": jax.random.fold_in(key, spec.depth + 2),
    }
