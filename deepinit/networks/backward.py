"""Backward pass: cotangents from outputs to inputs of a random network.

Transposes have the joint law with their maps, at cost O(n k^2) when conditional
(`networks.transposes`); residuals are stored or recomputed (`networks.checkpointing`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.specs import MLP, Spec
from deepinit.networks.activate import activate
from deepinit.networks.checkpointing import checkpoint_shapes
from deepinit.networks.cotangents import (
    Cotangents,
    Products,
    log_norm2,
    plus,
    rescaled,
    sum_of,
    times_derivative,
    total,
)
from deepinit.networks.forward import (
    LayerFn,
    layer_step,
    linear,
    random_layer,
    renormalize,
    scan_layers,
)
from deepinit.networks.layers import (
    boundary_keys,
    embedding_layer,
    inner_layer,
    layer_key,
    layer_numbers,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.linear_maps import WITH_RESIDUALS
from deepinit.networks.rows import Rows
from deepinit.networks.transposes import Transpose, WeightsAndBiases, cotangent_maps


class Gradients(NamedTuple):
    """Values and gradients of one network, by parameters in NTK parametrization.

    Attributes:
        outputs: [num_points, width], or last hidden layer, times exp(output_scales).
        output_scales: [num_points].
        layers: [layers, num], ln |gradient|^2 by each layer's output (stream after a block).
        inputs: cotangents [num, dimension].
        weights, biases: products [num, num], hidden layers.
        embedding, readout: products [num, num], weights and biases; 0 without the layer.
    """

    outputs: jax.Array
    output_scales: jax.Array
    layers: jax.Array
    inputs: Cotangents
    weights: Products
    biases: Products
    embedding: Products
    readout: Products

    @property
    def products(self) -> Products:
        """[num, num]: by all parameters."""
        return sum_of(self.weights, self.biases, self.embedding, self.readout)

    @property
    def ntk(self) -> jax.Array:
        """[num, num]: `products`, which may underflow or overflow."""
        return self.products.value * jnp.exp(self.products.log_scale)


class LayerResiduals(NamedTuple):
    """Residuals of one layer or block, maps in order of use."""

    rows: Rows
    preactivations: Rows
    saved: tuple[Any, ...]


ForwardStep = Callable[[Rows, Any], tuple[Rows, LayerResiduals]]  # of one layer, by its number
BackwardStep = Callable[[Cotangents, LayerResiduals, Any], tuple[Cotangents, WeightsAndBiases]]
Shape = tuple[int, ...]


def random_gradients(
    spec: Spec,
    rows: Rows,
    key: jax.Array,
    functions: Any,
    points: tuple[int, ...],
    *,
    linear_map: str,
    precision: str = "highest",
) -> Gradients:
    """Values and gradients of the random network of a key.

    Args:
        rows: points alone, of the input layer.
        key: with explicit maps, as for `network(spec).init`.
        functions: [num, output width], linear functions of the output at `points` (indices).
    """
    transpose = cotangent_maps(linear_map, precision, points)
    with_residuals = _residual_recorder(linear_map, precision)
    boundary, embedding = boundary_keys(spec, key), embedding_layer(spec)
    parts = segments(spec, rows.points.shape[1])
    rows = inputs = rows.with_inner_products()
    if embedding is not None:
        rows, embedding_saved = with_residuals(
            lambda layer_fn: renormalize(linear(rows, boundary["embedding"], embedding, layer_fn))
        )

    def forward_step(width: int, rows: Rows, number: Any) -> tuple[Rows, LayerResiduals]:
        source = layer_key(spec, key, number)
        (after, state), saved = with_residuals(
            lambda layer_fn: layer_step(spec, width, rows, source, layer_fn)
        )
        return after, LayerResiduals(rows, state.preactivations, saved)

    def backward_step(
        width: int, back: Cotangents, residuals: LayerResiduals, number: Any
    ) -> tuple[Cotangents, WeightsAndBiases]:
        source = layer_key(spec, key, number)
        return layer_back(spec, width, residuals, source, back, points, transpose)

    stored = []
    for segment in parts:
        numbers = layer_numbers(segment)
        steps = partial(forward_step, segment.fan_out), partial(backward_step, segment.fan_out)
        widest = max(segment.fan_in, segment.fan_out)
        for shape in checkpoint_shapes(segment.length, rows, widest):
            run, numbers = jnp.split(numbers, [math.prod(shape)])
            rows, residuals = _forward(rows, run, shape, steps[0])
            stored.append((residuals, run, shape, *steps))
    functions = jnp.asarray(functions, rows.points.dtype)
    back = Cotangents(functions, jnp.zeros(len(functions), functions.dtype))
    outputs, readout = rows, _no_products(functions)
    if spec.output_width is not None:
        last, output_key = output_layer(spec), boundary["output"]
        outputs, (saved,) = with_residuals(
            lambda layer_fn: linear(rows, output_key, last, layer_fn)
        )
        back, readout = transpose(output_key, saved, rows, back, last)
    records: list[Any] = []
    for residuals, *run_and_steps in reversed(stored):
        back, record = _backward(back, residuals, *run_and_steps)
        records.insert(0, record)
    embedded = _no_products(functions)
    if embedding is not None:
        embedding_key, (saved,) = boundary["embedding"], embedding_saved
        back, embedded = transpose(embedding_key, saved, inputs, back, embedding)
    layers, weights, biases = zip(*records, strict=True)
    products = (sum_of(*parts) for parts in (weights, biases, embedded, readout))
    return Gradients(outputs.points, outputs.point_scales, jnp.concatenate(layers), back, *products)


def layer_back(
    spec: Spec,
    width: int,
    residuals: LayerResiduals,
    source: Any,
    back: Cotangents,
    points: tuple[int, ...],
    transpose: Transpose,
) -> tuple[Cotangents, WeightsAndBiases]:
    """Cotangents of a layer's (or block's) input, and parameter products.

    Given residuals, keys `source`, and cotangents `back` of its output at `points`.
    """
    outer, through, products = outer_layer(spec), back, _no_products(back.vectors)
    rows, before, saved = residuals
    if outer is not None:
        after = activate(before, spec.activation)
        through, products = transpose(source["outer"], saved[1], after, through, outer)
    through = times_derivative(through, before, points, spec.activation)
    inputs = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
    inner = inner_layer(spec, width)
    through, inner_products = transpose(source["inner"], saved[0], inputs, through, inner)
    products = sum_of(products[0], inner_products[0]), sum_of(products[1], inner_products[1])
    if not isinstance(spec, MLP):
        through = plus(back, times_derivative(through, rows, points, spec.inner_activation))
    return rescaled(through), products


def _no_products(functions: jax.Array) -> WeightsAndBiases:
    zeros = jnp.zeros((len(functions), len(functions)), functions.dtype)
    return Products(zeros, zeros), Products(zeros, zeros)


def _residual_recorder(
    linear_map: str, precision: str
) -> Callable[[Callable[[LayerFn], Any]], tuple[Any, tuple[Any, ...]]]:
    """`of -> (of(random layer function), residuals)`."""
    draw = WITH_RESIDUALS[linear_map]

    def with_residuals(of: Callable[[LayerFn], Any]) -> tuple[Any, tuple[Any, ...]]:
        residuals: list[Any] = []

        def linear_map_fn(*arguments: Any) -> jax.Array:
            images, saved = draw(*arguments)
            residuals.append(saved)
            return images

        result = of(random_layer(linear_map_fn, precision))
        return result, tuple(residuals)

    return with_residuals


def _forward(
    rows: Rows, numbers: Any, shape: Shape, step: ForwardStep
) -> tuple[Rows, Rows | LayerResiduals]:
    """Output; residuals per layer, or input rows per checkpointing segment."""
    if len(shape) == 1:
        return scan_layers(step, rows, numbers)

    def segment(rows: Rows, numbers: Any) -> tuple[Rows, Rows]:
        after, _ = scan_layers(lambda rows, number: (step(rows, number)[0], None), rows, numbers)
        return after, rows

    return scan_layers(segment, rows, numbers.reshape(shape[0], -1))


def _backward(
    back: Cotangents,
    residuals: Rows | LayerResiduals,
    numbers: Any,
    shape: Shape,
    forward_step: ForwardStep,
    backward_step: BackwardStep,
) -> tuple[Cotangents, tuple[Any, Any, Any]]:
    """Cotangents of the input; log squared norms per layer; sums of products."""

    def layer(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        into, (weights, biases) = backward_step(back, *at)
        return into, (log_norm2(back)[None], weights, biases)

    def segment(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        rows, numbers = at
        _, inside = _forward(rows, numbers, shape[1:], forward_step)
        return _backward(back, inside, numbers, shape[1:], forward_step, backward_step)

    step, sources = layer, numbers
    if len(shape) > 1:
        step, sources = segment, numbers.reshape(shape[0], -1)
    back, (layers, weights, biases) = scan_layers(step, back, (residuals, sources), reverse=True)
    return back, (layers.reshape(-1, layers.shape[-1]), total(weights), total(biases))
