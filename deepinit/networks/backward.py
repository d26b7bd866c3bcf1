"""The backward pass, written once: cotangents from the outputs to the inputs of a random network, of every architecture.

A cotangent is the gradient of one linear function of the network's output, at one of the points that travelled forward. In every layer the
transpose of its linear map is drawn in the same way as the map itself (`networks.transposes`), so that values and gradients have their joint
law with conditional maps too, at a cost of O(n k^2) per layer.

What the way back needs of every layer is kept from the way forward where it is small. Of many layers only the rows at the starts of stretches of
about sqrt(depth) layers are kept; a stretch is computed again when the way back enters it. Cotangents carry log-scales, as rows do.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.specs import MLP, Spec
from deepinit.networks.activate import activate
from deepinit.networks.forward import LayerFn, layer_step, linear, random_layer, scan_layers, settle
from deepinit.networks.layers import (
    Layer,
    Segment,
    embedding_layer,
    end_keys,
    inner_layer,
    layer_keys,
    outer_layer,
    output_layer,
    segments,
)
from deepinit.networks.linear_maps import KEEPING
from deepinit.networks.rows import Rows
from deepinit.networks.transposes import TRANSPOSES, parameter_products


class Cotangents(NamedTuple):
    """Gradients of scalar functions of the output with respect to one layer: exp(log_scales) * vectors.

    Attributes:
        vectors: [num, width].
        log_scales: [num], natural logarithms.
    """

    vectors: jax.Array
    log_scales: jax.Array


class Gradients(NamedTuple):
    """Of one network.

    Attributes:
        outputs: [num_points, width], the functions' values: of the output layer, or of the last hidden layer without one.
        output_scales: [num_points]: the outputs are exp(output_scales) * outputs.
        layers: [layers, num], ln of the squared norm of the gradient with respect to what every hidden layer returns (the stream after
            every block), the last one first computed and last in order.
        inputs: Cotangents of the inputs, [num, dimension].
        weights, biases: [layers, num, num], inner products of the gradients with respect to the parameters of every hidden layer, in NTK
            parametrization (gradients with respect to standard normal numbers).
        embedding, readout: [num, num], the same of these two layers, weights and biases together; zeros without them.
    """

    outputs: jax.Array
    output_scales: jax.Array
    layers: jax.Array
    inputs: Cotangents
    weights: jax.Array
    biases: jax.Array
    embedding: jax.Array
    readout: jax.Array

    @property
    def ntk(self) -> jax.Array:
        """[num, num]: inner products of the gradients with respect to all parameters."""
        return jnp.sum(self.weights + self.biases, axis=0) + self.embedding + self.readout


Products = tuple[jax.Array, jax.Array]
Transpose = Callable[[Any, Any, Rows, Cotangents, Layer], tuple[Cotangents, Products]]


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


Pass = Callable[[int, Rows, Any], tuple[Rows, Passed]]


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
    transpose, keeping = _transpose(linear_map, precision, points), _keeping(linear_map, precision)
    runs, ends, embedding = segments(spec, rows.points.shape[1]), end_keys(spec, key), embedding_layer(spec)
    rows = start = rows.with_known()
    if embedding is not None:
        rows, embedding_drawn = keeping(lambda layer_fn: settle(linear(rows, ends["embedding"], embedding, layer_fn)))

    def layer(width: int, rows: Rows, source: Any) -> tuple[Rows, Passed]:
        (after, state), drawn = keeping(lambda layer_fn: layer_step(spec, width, rows, source, layer_fn))
        return after, Passed(rows, state.preactivations, drawn)

    stretches = []
    for segment in runs:
        for piece, source in _stretches(segment, layer_keys(spec, key, segment), rows):
            rows, entered = _enter_all(piece.fan_out, rows, source, layer)
            stretches.append((piece.fan_out, source, entered))
    functions = jnp.asarray(functions, rows.points.dtype)
    back = Cotangents(functions, jnp.zeros(len(functions), functions.dtype))
    outputs, readout = rows, _no_products(functions)
    if spec.output_width is not None:
        last = output_layer(spec)
        outputs, (drawn,) = keeping(lambda layer_fn: linear(rows, ends["output"], last, layer_fn))
        back, readout = transpose(ends["output"], drawn, rows, back, last)
    records: list[Any] = []
    for width, source, entered in reversed(stretches):
        back, record = _leave_all(spec, width, entered, source, back, points, layer, transpose)
        records.insert(0, record)
    embedded = _no_products(functions)
    if embedding is not None:
        back, embedded = transpose(ends["embedding"], embedding_drawn[0], start, back, embedding)
    layers, weights, biases = (jnp.concatenate(parts) for parts in zip(*records, strict=True))
    ends_products = (embedded[0] + embedded[1], readout[0] + readout[1])
    return Gradients(outputs.points, outputs.point_scales, layers, back, weights, biases, *ends_products)


def layer_back(
    spec: Spec,
    width: int,
    passed: Passed,
    source: Any,
    back: Cotangents,
    points: tuple[int, ...],
    transpose: Transpose,
) -> tuple[Cotangents, Products]:
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
        through, products = transpose(source["outer"], drawn[1], activate(before, spec.activation), through, outer)
    through = times_slopes(through, before, points, spec.activation)
    seen = rows if isinstance(spec, MLP) else activate(rows, spec.inner_activation)
    through, others = transpose(source["inner"], drawn[0], seen, through, inner_layer(spec, width))
    products = products[0] + others[0], products[1] + others[1]
    if not isinstance(spec, MLP):
        through = plus(back, times_slopes(through, rows, points, spec.inner_activation))
    return rescaled(through), products


def times_slopes(back: Cotangents, rows: Rows, points: tuple[int, ...], activation: Activation) -> Cotangents:
    """phi'(rows) times the cotangents: the same product as of tangents, which `activate` takes with its log-scales."""
    scales = back.log_scales[:, None]
    frames = _with_frames(rows, back.vectors[:, None], scales, points)
    after = activate(frames, activation)
    return Cotangents(after.tangents[:, 0], after.log_stretches[:, 0])


def plus(first: Cotangents, second: Cotangents) -> Cotangents:
    """The sum, at the first one's scales."""
    ratio = jnp.exp(second.log_scales - first.log_scales)[:, None]
    return first._replace(vectors=first.vectors + ratio * second.vectors)


def rescaled(back: Cotangents) -> Cotangents:
    """The root mean square of every vector moved into its log-scale."""
    size = jnp.sqrt(jnp.mean(back.vectors**2, axis=1))
    size = jnp.where(size == 0, 1, size)
    return Cotangents(back.vectors / size[:, None], back.log_scales + jnp.log(size))


def log_norm2(back: Cotangents) -> jax.Array:
    """[num]: ln of the squared norms, -inf for 0."""
    return 2 * back.log_scales + jnp.log(jnp.sum(back.vectors**2, axis=1))


def _with_frames(rows: Rows, tangents: jax.Array, scales: jax.Array, points: tuple[int, ...]) -> Rows:
    return dataclasses.replace(rows, tangents=tangents, log_stretches=scales, frame_bases=points, known=None)


def _no_products(functions: jax.Array) -> Products:
    none = jnp.zeros((len(functions), len(functions)), functions.dtype)
    return none, none


def _transpose(linear_map: str, precision: str, points: tuple[int, ...]) -> Transpose:
    """How cotangents go back through a layer's linear map, whatever it sees of its rows."""
    draw = TRANSPOSES[linear_map]

    def transpose(key: Any, drawn: Any, rows: Rows, back: Cotangents, layer: Layer) -> tuple[Cotangents, Products]:
        stacked, vectors, num = rows.points, back.vectors, len(back.vectors)
        if layer.view is None:
            seen = stacked
            images = draw(key, drawn, vectors, layer, seen.shape[1], precision)
        else:
            view = layer.view
            seen = view.seen(stacked)
            vectors = vectors.reshape(num * len(seen) // len(stacked), -1)
            images = draw(key, drawn, vectors, layer, seen.shape[1], precision)
            # a cotangent for each function: the view's own transpose acts on each alone
            one = jax.vjp(view.seen, jnp.zeros((1, stacked.shape[1]), stacked.dtype))[1]
            images = jax.vmap(lambda image: one(image)[0][0])(images.reshape(num, -1, images.shape[1]))
        weights, biases = parameter_products(layer, seen, vectors, points, num, len(stacked))
        at = np.asarray(points)
        scale = jnp.exp(back.log_scales[:, None] + back.log_scales[None])
        sizes = jnp.exp(rows.point_scales[at][:, None] + rows.point_scales[at][None])
        return Cotangents(images, back.log_scales), (weights * scale * sizes, biases * scale)

    return transpose


def _keeping(linear_map: str, precision: str) -> Callable[[Callable[[LayerFn], Any]], tuple[Any, tuple[Any, ...]]]:
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


_KEPT_BYTES = 2**19  # of one network: as much as is kept of all layers of a run


def _stretches(segment: Segment, source: Any, rows: Rows) -> list[tuple[Segment, Any]]:
    """A run of layers as stretches [stretches, layers, ...]: one if all of it may be kept, else about sqrt(length), and what is left over as one more.

    Of a layer what enters, the preactivations, directions and normals are kept, each about as large as the widest rows.
    """
    size = 4 * len(rows.points) * max(segment.fan_in, segment.fan_out) * rows.points.dtype.itemsize
    length = segment.length if segment.length * size <= _KEPT_BYTES else _stretch_length(segment.length)
    whole = segment.length // length * length
    parts = [(whole, jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, length, *leaf.shape[1:]), source))]
    if whole < segment.length:
        parts.append((segment.length - whole, jax.tree.map(lambda leaf: leaf[whole:][None], source)))
    return [(segment._replace(length=count), part) for count, part in parts]


def _stretch_length(length: int) -> int:
    """The divisor nearest to sqrt(length), by ratio, if it is within a factor 2: stretches left over would be compiled once more."""
    root = math.sqrt(length)
    near = [count for count in range(1, length + 1) if length % count == 0 and root / 2 <= count <= 2 * root]
    return min(near, key=lambda count: abs(math.log(count / root))) if near else math.isqrt(length)


def _enter_all(width: int, rows: Rows, source: Any, layer: Pass) -> tuple[Rows, Rows | Passed]:
    """Forward through stretches; what was passed in every layer of the only one, or the rows that enter every stretch."""
    if _is_one(source):
        return scan_layers(lambda rows, keys: layer(width, rows, keys), rows, _only(source))

    def stretch(rows: Rows, keys: Any) -> tuple[Rows, Rows]:
        after, _ = scan_layers(lambda rows, key: (layer(width, rows, key)[0], None), rows, keys)
        return after, rows

    return scan_layers(stretch, rows, source)


def _leave_all(
    spec: Spec,
    width: int,
    entered: Rows | Passed,
    source: Any,
    back: Cotangents,
    points: tuple[int, ...],
    layer: Pass,
    transpose: Transpose,
) -> tuple[Cotangents, tuple[jax.Array, jax.Array, jax.Array]]:
    """Back through stretches, the last one first; records in the order of layers."""

    def leave(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        key, passed = at
        into, (weights, biases) = layer_back(spec, width, passed, key, back, points, transpose)
        return into, (log_norm2(back), weights, biases)

    def stretch(back: Cotangents, at: Any) -> tuple[Cotangents, Any]:
        keys, rows = at
        _, passed = scan_layers(lambda rows, key: layer(width, rows, key), rows, keys)
        return scan_layers(leave, back, (keys, passed), reverse=True)

    if _is_one(source):
        return scan_layers(leave, back, (_only(source), entered), reverse=True)
    back, records = scan_layers(stretch, back, (source, entered), reverse=True)
    return back, jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), records)


def _is_one(source: Any) -> bool:
    return len(jax.tree.leaves(source)[0]) == 1


def _only(source: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[0], source)
