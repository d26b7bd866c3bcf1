"""Layers that act on every neuron (or pair of neurons) alone."""

import dataclasses

from deepinit.core import activations as functions
from deepinit.core import validate
from deepinit.core.layers.layer import SHAPES, Layer, Shape, refuse, require_values
from deepinit.core.layers.linear import put


@dataclasses.dataclass(frozen=True, repr=False)
class Activation(Layer):
    """phi of every neuron: an Activation, a built-in's name, or an elementwise JAX function."""

    phi: functions.Activation

    def __post_init__(self) -> None:
        put(self, "phi", functions.as_activation(self.phi))


@dataclasses.dataclass(frozen=True, repr=False)
class Gate(Layer):
    """u phi(g): u is the first half of the neurons, g the second; halves the width."""

    phi: functions.Activation

    def __post_init__(self) -> None:
        put(self, "phi", functions.as_activation(self.phi))


@dataclasses.dataclass(frozen=True, repr=False)
class Dropout(Layer):
    """Entries kept with probability 1 - rate, divided by it (training mode); rate in [0, 1).

    `shared`: one mask per network, position and neuron for all inputs; else one per input.
    """

    rate: float
    shared: bool = True

    def __post_init__(self) -> None:
        rate = validate.real("rate of Dropout", self.rate, remedy="0.1 is usual.")
        validate.require(0 <= rate < 1, f"rate={rate}", "0 <= rate < 1", "0.1 is usual.")
        put(self, "rate", rate)
        put(self, "shared", validate.flag("shared", self.shared))


@SHAPES.rule(Activation, Dropout)
def _same(layer: Layer, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    return shape


@SHAPES.rule(Gate)
def _gate(layer: Gate, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    if shape.width is None:
        return shape
    if shape.width % 2:
        given = f"{shape.width} neurons"
        raise refuse(path, layer, given, "an even number", "Give the layer before twice the width.")
    return shape._replace(width=shape.width // 2)
