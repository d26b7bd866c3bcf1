"""Parameters of a program of layers, nested as its layers are, with the keys of simulation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from deepinit.core.layers import (
    Conv,
    Dense,
    Layer,
    Positions,
    Program,
    Repeat,
    Residual,
    Sequential,
    Shape,
    expanded,
    output_shape,
)
from deepinit.diagnosis import host_draws
from deepinit.diagnosis.doors.matrices import drawn_matrix
from deepinit.networks.interpreter import key_sources
from deepinit.networks.linear_layers import LinearLayer, linear_layer
from deepinit.networks.rules.residual import BRANCH, SKIP


class Source(NamedTuple):
    """How keys are folded and matrices drawn.

    Attributes:
        fold: `(key, number) -> key`.
        repeat: `(of_key, key, first, times) -> parameters` of the steps of a Repeat, stacked.
        matrix: `(layer, fan_in, key) -> {"weights", "biases"}`.
    """

    fold: Callable[[Any, Any], Any]
    repeat: Callable[[Callable[[Any], Any], Any, int, int], Any]
    matrix: Callable[[LinearLayer, int, Any], dict[str, Any]]


TRACED = Source(
    jax.random.fold_in,
    lambda of_key, key, first, times: jax.vmap(of_key)(key_sources(key, first, times)),
    drawn_matrix,
)
# Of many networks at once, keys [networks, 2]: requests, which `host_draws.drawn` fills.
HOST = Source(
    host_draws.fold_in,
    lambda of_key, key, first, times: of_key(host_draws.steps(key, first, times)),
    host_draws.requested,
)


def parameters_of(net: Program, key: Any, source: Source) -> dict[str, Any]:
    """Parameters of the parts of a program."""
    numbers = {"embedding": net.embedding_key, "body": None, "readout": net.readout_key}
    parts = {
        "embedding": (net.embedding, net.shape),
        "body": (net.body, net.body_shape),
        "readout": (net.readout, net.last_shape),
    }
    return {
        name: of_layer(layer, shape, _folded(source, key, numbers[name]), net.depth, source)
        for name, (layer, shape) in parts.items()
        if layer is not None
    }


def of_layer(layer: Layer, shape: Shape, key: Any, depth: int, source: Source) -> Any:
    """Parameters of a layer."""
    layer = expanded(layer, shape)
    if isinstance(layer, Sequential):
        found = []
        for child, number in zip(layer.layers, layer.keys, strict=True):
            own = _folded(source, key, number)
            found.append(of_layer(child, shape, own, depth, source))
            shape = output_shape(child, shape)
        return tuple(found)
    if isinstance(layer, Repeat):
        of_key = lambda each: of_layer(layer.layer, shape, each, depth, source)
        return source.repeat(of_key, key, layer.first, layer.times)
    if isinstance(layer, Residual):
        if layer.skip is None:
            return of_layer(layer.branch, shape, key, depth, source)
        parts = ((layer.branch, BRANCH), (layer.skip, SKIP))
        return tuple(
            of_layer(part, shape, source.fold(key, number), depth, source) for part, number in parts
        )
    if isinstance(layer, Positions) and layer.law is not None and layer.kind == "learned":
        own = LinearLayer(shape.width or 0, layer.law, None, depth)
        return source.matrix(own, shape.num_positions, key)
    if isinstance(layer, Dense | Conv):
        own = linear_layer(layer, shape, depth)
        fan_in = shape.size if own.view is None else own.view.fan_in(shape.size)
        return source.matrix(own, fan_in, key)
    return ()


def _folded(source: Source, key: Any, number: int | None) -> Any:
    return key if number is None else source.fold(key, number)
