"""Normalization layers."""

import dataclasses
from typing import ClassVar

from deepinit.core import validate
from deepinit.core.layers.layer import SHAPES, Layer, Shape, refuse, require_values
from deepinit.core.layers.linear import put


def _check(layer: "RMSNorm | LayerNorm | BatchNorm | GroupNorm") -> None:
    put(layer, "eps", validate.not_negative("eps", layer.eps, "1e-6 is usual."))
    put(layer, "gain", validate.flag("gain", layer.gain))


@dataclasses.dataclass(frozen=True, repr=False)
class RMSNorm(Layer):
    """h / sqrt(|h|^2 / n + eps) at every position; `gain`: trainable gains, 1 at initialization."""

    eps: float = 1e-6
    gain: bool = True

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True, repr=False)
class LayerNorm(Layer):
    """RMSNorm of centred neurons; `gain`: trainable gains (1) and biases (0)."""

    eps: float = 1e-5
    gain: bool = True

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True, repr=False)
class BatchNorm(Layer):
    """Every neuron (channel) normalized over all rows: inputs of the batch x positions.

    The batch: the inputs of one measurement, with partners. `gain`: as `LayerNorm`.
    """

    mixes_batch: ClassVar[bool] = True

    eps: float = 1e-5
    gain: bool = True

    def __post_init__(self) -> None:
        _check(self)


@dataclasses.dataclass(frozen=True, repr=False)
class GroupNorm(Layer):
    """Every group of channels normalized over channels and positions of one input."""

    groups: int
    eps: float = 1e-5
    gain: bool = True

    def __post_init__(self) -> None:
        put(self, "groups", validate.integer("groups", self.groups, 1))
        _check(self)


@SHAPES.rule(RMSNorm, LayerNorm, BatchNorm)
def _norm(layer: Layer, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    return shape


@SHAPES.rule(GroupNorm)
def _group_norm(layer: GroupNorm, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    if shape.width is not None and shape.width % layer.groups:
        given, allowed = f"{layer.groups} groups of {shape.width} channels", "groups of equal size"
        raise refuse(path, layer, given, allowed, "Take a divisor of the channels.")
    return shape
