"""The backward pass, written once: cotangents from the outputs to the inputs of a random network, of every architecture.

A cotangent is the gradient of one linear function of the network's output, at one of the points that travelled forward. In every layer the
transpose of its linear map is drawn in the same way as the map itself (`networks.transposes`), so that values and gradients have their joint
law with conditional maps too, at a cost of O(n k^2) per layer.

What the way back needs of every layer is kept from the way forward where it is small. Of many layers only the rows at the starts of stretches
are kept; a stretch is computed again when the way back enters it (`networks.stretches`: memory has a bound at every depth). Cotangents carry
log-scales, as rows do.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.specs import MLP, Spec
from deepinit.networks.activate import activate
from deepinit.networks.checkpointing import stretch_shapes
from deepinit.networks.cotangents import (
    Cotangents,
    Products,
    log_norm2,
    plus,
    rescaled,
    sum_of,
    times_slopes,
    total,
)
from deepinit.networks.forward import LayerFn, layer_step, linear, random_layer, scan_layers, settle
from deepinit.networks.layers import (
    embedding_layer,
    end_keys,
    inner_layer,
    layer_key,
    layer_numbers,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.linear_maps import KEEPING
from deepinit.networks.rows import Rows
from deepinit.networks.transposes import Transpose, WeightsAndBiases, cotangent_maps


class Gradients(NamedTuple):
    """Of one network.

    Attributes:
        outputs: [num_points, width], the functions' values: of the output layer, or of the last hidden layer without one.
        output_scales: [num_points]: the outputs are exp(output_scales) * outputs.
        layers: [layers, num], ln of the squared norm of the gradient with respect to what every hidden layer returns (the stream after
            every block), the last one first computed and last in order.
        inputs: Cotangents of the inputs, [num, dimension].
        weights, biases: Products [num, num] of the gradients with respect to the parameters of all hidden layers, in NTK
            parametrization (gradients with respect to standard normal numbers).
        embedding, readout: Products [num, num], the same of these two layers, weights and biases together; zeros without them.
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
        """[num, num]: inner products of the gradients with respect to all parameters."""
        return sum_of(self.weights, self.biases, self.embedding, self.readout)

    @property
    def ntk(self) -> jax.Array:
        """[num, num]: `products` as numbers of the dtype, which may underflow or overflow."""
        return self.products.value * jnp.exp(self.products.log_scale)


class Passed(NamedTuple):
    """What the way back needs of one layer, or block.

    Attributes:
        rows: what entered.
        before: the preactivations of its activation.
        drawn: what was kept of its linear maps, in the order in which they act.
    """

    rows: Rows
    before: Rows
    drawn: tuple[Any, ...]


Enter = Callable[[Rows, Any], tuple[Rows, Passed]]  # of one layer, by its number
Leave = Callable[[Cotangents, Passed, Any], tuple[Cotangents, WeightsAndBiases]]
Shape = tuple[int, ...]


def random_gradients(
    spec: Spec,
    rows: Rows,
    key: Any,
    functions: Any,
    points: tuple[int, ...],
    *,
    linear_map: str,
    precision: str = "highest",
) -> Gradients:
    """Values and gradients of the random network of this key.

    Args:
        spec: the network.
        rows: points of the input layer, without displacements or tangents.
        key: the network's key: with explicit maps the network is that of `random_forward` and `network(spec).init`.
        functions: [num, output width], each a linear function of the output.
        points: for each function, the index of the point where its gradient is taken.
        linear_map: explicit or conditional.
        precision: of the matrix products.
    """
    transpose, keeping = (
        cotangent_maps(linear_map, precision, points),
        _keeping(linear_map, precision),
    )
    runs, ends, embedding = (
        segments(spec, rows.points.shape[1]),
        end_keys(spec, key),
        embedding_layer(spec),
    )
    rows = start = rows.with_known()
    if embedding is not None:
        rows, embedding_drawn = keeping(
            lambda layer_fn: settle(linear(rows, ends["embedding"], embedding, layer_fn))
        )

    def enter(width: int, rows: Rows, number: Any) -> tuple[Rows, Passed]:
        source = layer_key(spec, key, number)
        (after, state), drawn = keeping(
            lambda layer_fn: layer_step(spec, width, rows, source, layer_fn)
        )
        return after, Passed(rows, state.preactivations, drawn)

    def leave(
        width: int, back: Cotangents, passed: Passed, number: Any
    ) -> tuple[Cotangents, WeightsAndBiases]:
        return layer_back(
            spec, width, passed, layer_key(spec, key, number), back, points, transpose
        )

    passed = []
    for segment in runs:
        numbers = layer_numbers(segment)
        for shape in stretch_shapes(segment.length, rows, max(segment.fan_in, segment.fan_out)):
            here, numbers = jnp.split(numbers, [math.prod(shape)])
            way = partial(enter, segment.fan_out), partial(leave, segment.fan_out)
            rows, entered = _enter_all(rows, here, shape, way[0])
            passed.append((entered, here, shape, *way))
    functions = jnp.asarray(functions, rows.points.dtype)
    back = Cotangents(functions, jnp.zeros(len(functions), functions.dtype))
    outputs, readout = rows, _no_products(functions)
    if spec.output_width is not None:
        last = output_layer(spec)
        outputs, (drawn,) = keeping(lambda layer_fn: linear(rows, ends["output"], last, layer_fn))
        back, readout = transpose(ends["output"], drawn, rows, back, last)
    records: list[Any] = []
    for entered, *run in reversed(passed):
        back, record = _leave_all(back, entered, *run)
        records.insert(0, record)
    embedded = _no_products(functions)
    if embedding is not None:
        back, embedded = transpose(ends["embedding"], embedding_drawn[0], start, back, embedding)
    layers, weights, biases = zip(*records, strict=True)
    products = (sum_of(*parts) for parts in (weights, biases, embedded, readout))
    return Gradients(outputs.points, outputs.point_scales, jnp.concatenate(layers), back, *products)


def layer_back(
    spec: Spec,
    width: int,
    passed: Passed,
    source: Any,
    back: Cotangents,
    points: tuple[int, ...],
    transpose: Transpose,
) -> tuple[Cotangents, WeightsAndBiases]:
    """Cotangents of what enters a hidden layer or block, from those of what leaves it.

    Args:
        spec: the network.
        width: neurons that the layer produces.
        passed: what was kept on the way forward.
        source: what its matrices are drawn from.
        back: of what leaves.
        points: of each cotangent.
        transpose: draws transposed maps.
    """
    outer, through, products = outer_layer(spec), back, _no_products(back.vectors)
    rows, before, drawn = passed
    if outer is not None:
        through, products = transpose(
            source["outer"], drawn[1], activate(before, spec.activation), through, outer
        )
    through = times_slopes(through, before, points, spec.activation)
    seen = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
    through, others = transpose(source["inner"], drawn[0], seen, through, inner_layer(spec, width))
    products = sum_of(products[0], others[0]), sum_of(products[1], others[1])
    if not isinstance(spec, MLP):
        through = plus(back, times_slopes(through, rows, points, spec.inner_activation))
    return rescaled(through), products


def _no_products(functions: jax.Array) -> WeightsAndBiases:
    zeros = jnp.zeros((len(functions), len(functions)), functions.dtype)
    return Products(zeros, zeros), Products(zeros, zeros)


def _keeping(
    linear_map: str, precision: str
) -> Callable[[Callable[[LayerFn], Any]], tuple[Any, tuple[Any, ...]]]:
    """`of(layer function)` with random maps, and what each of them keeps for its transpose, in the order in which they act."""
    draw = KEEPING[linear_map]

    def keeping(of: Callable[[LayerFn], Any]) -> tuple[Any, tuple[Any, ...]]:
        drawn: list[Any] = []

        def linear_map_fn(*arguments: Any) -> jax.Array:
            images, kept = draw(*arguments)
            drawn.append(kept)
            return images

        found = of(random_layer(linear_map_fn, precision))
        return found, tuple(drawn)

    return keeping


def _enter_all(rows: Rows, numbers: Any, shape: Shape, enter: Enter) -> tuple[Rows, Rows | Passed]:
    """Forward; what was passed in every layer, or the rows that enter every stretch."""
    if len(shape) == 1:
        return scan_layers(enter, rows, numbers)

    def stretch(rows: Rows, numbers: Any) -> tuple[Rows, Rows]:
        after, _ = scan_layers(lambda rows, number: (enter(rows, number)[0], None), rows, numbers)
        return after, rows

    return scan_layers(stretch, rows, numbers.reshape(shape[0], -1))


def _leave_all(
    back: Cotangents, entered: Rows | Passed, numbers: Any, shape: Shape, enter: Enter, leave: Leave
) -> tuple[Cotangents, tuple[Any, Any, Any]]:
    """Back, the last layer first; squared norms in the order of layers, and the sums of products."""

    def layer(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        into, (weights, biases) = leave(back, *at)
        return into, (log_norm2(back)[None], weights, biases)

    def stretch(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        rows, numbers = at
        _, inside = _enter_all(rows, numbers, shape[1:], enter)
        return _leave_all(back, inside, numbers, shape[1:], enter, leave)

    step, sources = (
        (layer, numbers) if len(shape) == 1 else (stretch, numbers.reshape(shape[0], -1))
    )
    back, (layers, weights, biases) = scan_layers(step, back, (entered, sources), reverse=True)
    return back, (layers.reshape(-1, layers.shape[-1]), total(weights), total(biases))
