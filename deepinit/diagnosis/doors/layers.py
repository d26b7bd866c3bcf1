"""Networks of `di.layers` and named architectures as probes: functions of explicit parameters.

Parameters are nested as the layers are: a linear map is a dict of `weights` and `biases`; a Repeat
has an axis of steps. States are those after sites with weights, the readout left out.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Attention,
    Conv,
    Dense,
    Embed,
    Layer,
    Positions,
    Program,
    Repeat,
    Residual,
    Sequential,
    Shape,
    Tied,
    output_shape,
    program,
    sites,
)
from deepinit.core.layers.containers import children, leaves
from deepinit.core.layers.neuronwise import Dropout
from deepinit.core.layers.program import is_site
from deepinit.diagnosis.doors.matrices import given_layer
from deepinit.diagnosis.doors.parameters import TRACED, parameters_of
from deepinit.diagnosis.formulas import attention_entropy
from deepinit.diagnosis.probe import Drawn, Pass, Probe
from deepinit.networks.interpreter import (
    Draw,
    apply,
    check_rules,
    is_random,
    renormalize,
    scan_layers,
)
from deepinit.networks.network import given_draw
from deepinit.networks.rows import Rows, points_alone


def layers_probe(network: Any, shape: Shape) -> Probe:
    """Probe of a network at one shape of inputs, given as rows [num, positions * width].

    Raises SpecError: inputs that do not fit; Tied layers, dropout.
    """
    net = program(network, shape)
    _check(net)
    return probe_of(net)


def probe_of(net: Program) -> Probe:
    """Probe of a checked program."""
    prefix, rest = _split(net)
    shape, draw = net.shape, given_draw(given_layer, net.depth)
    body_shape = net.body_shape if prefix is None else output_shape(prefix, net.body_shape)

    def draw_network(key: Any) -> Drawn:
        return given(parameters_of(net, key, TRACED))

    def given(parameters: Any) -> Drawn:
        return Drawn(parameters, embed, forward)

    def embed(parameters: Any, inputs: Any) -> Any:
        if prefix is None:
            return inputs
        number = len(prefix.layers)
        rows = apply(
            prefix, points_alone(inputs), parameters["body"][:number], net.body_shape, draw
        ).rows
        return _values(rows, body_shape)

    def forward(parameters: Any, x: Any, shifts: Any) -> Pass:
        rows = points_alone(x.reshape(len(x), -1)).with_inner_products()
        own = parameters["body"]
        if net.embedding is not None:
            rows = renormalize(
                apply(net.embedding, rows, parameters["embedding"], shape, draw).rows
            )
        if prefix is not None:
            own = own[len(prefix.layers) :]
        given = iter([None] * _count(rest) if shifts is None else shifts)
        rows, states, entropies = _walk(rest, rows, own, body_shape, draw, given)
        features = _values(rows, net.last_shape)
        outputs = features
        if net.readout is not None:
            after = apply(net.readout, rows, parameters["readout"], net.last_shape, draw).rows
            outputs = _values(after, net.output_shape)
        attention = jnp.concatenate(entropies) if entropies else None
        return Pass(outputs, features, tuple(states), attention)

    sequences = len(body_shape.positions or ()) == 1 and body_shape.num_positions > 1
    shapes = tuple(_state_shapes(rest, body_shape))
    return Probe(draw_network, first_weights, sequences, order(rest), given, shapes)


def site_paths(network: Any, shape: Shape) -> tuple[str, ...]:
    """Names of the states of `layers_probe`, in order."""
    net = program(network, shape)
    prefix, rest = _split(net)
    start = net.body_shape if prefix is None else output_shape(prefix, net.body_shape)
    return tuple(site.path for site in sites(rest, start) if is_random(site.layer))


def first_weights(gradients: Any) -> Any:
    """Gradient of the first weight matrix, of a Repeat its first."""
    for name in ("embedding", "body", "readout"):
        found = _first(gradients.get(name, ()))
        if found is not None:
            return found
    raise SpecError("a network without weights", "one random matrix or more", "Add a Dense layer.")


def order(body: Layer) -> np.ndarray:
    """Indices that sort the stacked states of `_walk` by depth."""
    return np.argsort(np.concatenate(_places(body)[0]), kind="stable")


def _places(layer: Layer) -> tuple[list[np.ndarray], int]:
    """Places of every stack of states, and their number."""
    if is_site(layer):
        return ([np.zeros(1, int)], 1) if is_random(layer) else ([], 0)
    if isinstance(layer, Repeat):
        inside, count = _places(layer.layer)
        steps = count * np.arange(layer.times)[:, None]
        return [(steps + stack).ravel() for stack in inside], count * layer.times
    assert isinstance(layer, Sequential)
    found, start = [], 0
    for child in layer.layers:
        inside, count = _places(child)
        found += [start + stack for stack in inside]
        start += count
    return found, start


def _state_shapes(layer: Layer, shape: Shape) -> list[tuple[int, ...]]:
    """[steps, *positions, width] of every stack of states of `_walk`."""
    if is_site(layer):
        after = output_shape(layer, shape)
        return [(1, *(after.positions or ()), after.width or 0)] if is_random(layer) else []
    if isinstance(layer, Repeat):
        inside = _state_shapes(layer.layer, shape)
        return [(layer.times * steps, *rest) for steps, *rest in inside]
    assert isinstance(layer, Sequential)
    found = []
    for child in layer.layers:
        found += _state_shapes(child, shape)
        shape = output_shape(child, shape)
    return found


def _count(layer: Layer) -> int:
    return len(_places(layer)[0])


def _walk(
    layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw, shifts: Iterator[Any]
) -> tuple[Rows, list[Any], list[Any]]:
    """Rows after a body; stacks of states [steps, rows, ...]; attention entropies [steps]."""
    if is_site(layer) and not is_random(layer):
        return renormalize(apply(layer, rows, source, shape, draw).rows), [], []
    if is_site(layer):
        return _site(layer, rows, source, shape, draw, next(shifts))
    if isinstance(layer, Repeat):
        return _repeat(layer, rows, source, shape, draw, shifts)
    assert isinstance(layer, Sequential)
    states, entropies = [], []
    for index, child in enumerate(layer.layers):
        rows, inside, own = _walk(child, rows, source[index], shape, draw, shifts)
        shape = output_shape(child, shape)
        states += inside
        entropies += own
    return rows, states, entropies


def _repeat(
    layer: Repeat, rows: Rows, source: Any, shape: Shape, draw: Draw, shifts: Iterator[Any]
) -> tuple[Rows, list[Any], list[Any]]:
    inner = layer.layer
    given = [next(shifts) for _ in range(_count(inner))]
    given = [x if x is None else x.reshape(layer.times, -1, *x.shape[1:]) for x in given]

    def step(rows: Rows, at: Any) -> tuple[Rows, Any]:
        own, moved = at
        rows, states, entropies = _walk(inner, rows, own, shape, draw, iter(moved))
        return rows, (states, entropies)

    rows, records = scan_layers(step, rows, (source, given))
    states, entropies = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), records)
    return rows, states, entropies


def _site(
    layer: Layer, rows: Rows, source: Any, shape: Shape, draw: Draw, shift: Any
) -> tuple[Rows, list[Any], list[Any]]:
    applied = apply(layer, rows, source, shape, draw)
    rows, after = renormalize(applied.rows), output_shape(layer, shape)
    if shift is not None:
        moved = jnp.exp(-rows.point_scales)[:, None] * shift[0].reshape(rows.points.shape)
        rows = rows.with_rows(rows.stacked, points_shift=moved).with_inner_products()
    entropies = []
    if applied.notes:
        causal = any(getattr(leaf, "mask", None) == "causal" for leaf in leaves(layer))
        entropies = [attention_entropy(applied.notes["attention"], causal)[None]]
    return rows, [_values(rows, after)[None]], entropies


def _values(rows: Rows, shape: Shape) -> Any:
    """Points at their true size, [num, *positions, width]."""
    points = jnp.exp(rows.point_scales)[:, None] * rows.points
    return points.reshape(len(points), *(shape.positions or ()), -1)


def _split(net: Program) -> tuple[Sequential | None, Layer]:
    """Embedding of tokens with their positions, or None; and the rest of the body."""
    if not net.body_shape.tokens or type(net.body) is not Sequential:
        return None, net.body
    count = 0
    for layer in net.body.layers:
        if not isinstance(layer, Embed | Positions):
            break
        count += 1
    parts, keys = net.body.layers, net.body.keys
    if not 0 < count < len(parts):
        return None, net.body
    prefix = Sequential(*parts[:count], keys=keys[:count])
    return prefix, Sequential(*parts[count:], keys=keys[count:])


def _check(net: Program) -> None:
    probe = points_alone(np.zeros((1, net.body_shape.size), np.float32))
    check_rules(net.body, net.body_shape, probe)
    if not _count(_split(net)[1]):
        given = "a network without hidden layers"
        raise SpecError(
            given, "a layer with weights before the readout", "Add di.layers.Dense(64)."
        )
    for leaf in _parts(net.body):
        if isinstance(leaf, Tied) or (isinstance(leaf, Dropout) and leaf.rate > 0):
            given = f"scores of a network with {leaf!r}"
            raise SpecError(given, "layers with weights of their own, without dropout", "")
        known = isinstance(leaf, Dense | Conv | Embed | Attention | Positions)
        if not known and not _has_parts(leaf) and is_random(leaf):
            given = f"scores of a network with {type(leaf).__name__}"
            raise SpecError(given, "Dense, Conv, Embed, Attention, Positions", "Use flax.")


def _has_parts(layer: Layer) -> bool:
    return isinstance(layer, Sequential | Residual | Repeat | Tied)


def _parts(layer: Layer) -> list[Layer]:
    return [layer, *(inner for child in children(layer) for inner in _parts(child))]


def _first(tree: Any) -> Any:
    if isinstance(tree, dict):
        weights = tree["weights"]
        return weights.reshape(-1, *weights.shape[-2:])[0]
    return next((found for part in tree if (found := _first(part)) is not None), None)
