"""Networks of layers as lists, and lists folded into networks."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Dense,
    Layer,
    Repeat,
    Residual,
    Sequential,
    Tied,
    program,
)
from deepinit.core.layers.containers import children, leaves
from deepinit.core.specs import NetworkSpec
from deepinit.init.rewrite import as_layer, input_shape


def composed(network: NetworkSpec, inputs: Any) -> Sequential:
    """A network as a Sequential of layers; SpecError for inputs that do not fit."""
    if isinstance(network, Sequential):
        return network
    if isinstance(network, Layer):
        return Sequential(network)
    return as_layer(program(network, input_shape(inputs)))


def unrolled(layer: Layer) -> list[Layer]:
    """Layers in order, residual and tied layers whole."""
    if isinstance(layer, Sequential):
        return [part for child in layer.layers for part in unrolled(child)]
    return layer.times * unrolled(layer.layer) if isinstance(layer, Repeat) else [layer]


def parts_of(layer: Layer) -> list[Layer]:
    """A layer and all layers inside it."""
    return [layer, *(part for child in children(layer) for part in parts_of(child))]


def folded(layers: Iterable[Layer]) -> Sequential:
    """Runs of equal layers as Repeats."""
    runs = [(layer, len(list(run))) for layer, run in itertools.groupby(layers)]
    return Sequential(*(Repeat(layer, n) if n > 1 else layer for layer, n in runs))


def mapped(layer: Layer, change: Callable[[Layer], Layer]) -> Any:
    """The network with `change` of every layer, parts first."""
    if isinstance(layer, Sequential):
        parts = [mapped(child, change) for child in layer.layers]
        layer = type(layer)(*parts, name=layer.name, keys=layer.keys)
    elif isinstance(layer, Residual):
        skip = None if layer.skip is None else mapped(layer.skip, change)
        layer = dataclasses.replace(layer, branch=mapped(layer.branch, change), skip=skip)
    elif isinstance(layer, Repeat | Tied):
        layer = dataclasses.replace(layer, layer=mapped(layer.layer, change))
    return change(layer)


def activation_of(network: NetworkSpec, inputs: Any) -> Any:
    """The one activation of a network; SpecError for none or several."""
    found = {leaf.phi for leaf in leaves(composed(network, inputs)) if isinstance(leaf, Activation)}
    if len(found) != 1:
        names = ", ".join(sorted(phi.name for phi in found)) or "no activation"
        remedy = "Give every part its own law by di.init.apply(network, scheme, inputs)."
        raise SpecError(f"a network with {names}", "one activation", remedy)
    return found.pop()


def readout_of(network: Sequential) -> Dense | None:
    """The final linear layer."""
    last = network.layers[-1]
    return last if type(last) is Dense else None
