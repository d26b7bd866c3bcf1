"""Pooling over positions."""

import dataclasses
from typing import Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.layer import (
    SHAPES,
    Layer,
    Shape,
    refuse,
    require_positions,
    require_values,
)
from deepinit.core.layers.linear import put

PoolKind = Literal["mean", "max"]


@dataclasses.dataclass(frozen=True, repr=False)
class Pool(Layer):
    """Mean or maximum over windows of positions.

    `size`: side of a window; None for all positions, which leaves a vector. `stride`: None for
    `size`. `padding`: positions added at each side; ignored by both kinds.
    """

    kind: PoolKind = "mean"
    size: int | None = None
    stride: int | None = None
    padding: int = 0

    def __post_init__(self) -> None:
        put(self, "kind", validate.choice("kind", self.kind, ("mean", "max")))
        for name in ("size", "stride"):
            if getattr(self, name) is not None:
                put(self, name, validate.integer(f"{name} of Pool", getattr(self, name), 1))
        put(self, "padding", validate.integer("padding", self.padding, 0))
        if self.size is None and (self.stride is not None or self.padding):
            raise SpecError("Pool with a stride or padding, and no size", "a size", "Give size.")
        if self.size is not None and 2 * self.padding > self.size:
            given, allowed = f"padding={self.padding} of Pool", f"at most {self.size // 2}"
            raise SpecError(given, allowed, "A window must hold a position.")


@dataclasses.dataclass(frozen=True, repr=False)
class Flatten(Layer):
    """All positions as one vector."""


@SHAPES.rule(Pool)
def _pool(layer: Pool, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    require_positions(path, layer, shape, "Vectors have nothing to pool.")
    if layer.size is None:
        return shape._replace(positions=())
    if shape.positions is None:
        return shape
    size, stride = layer.size, layer.stride or layer.size
    lengths = [n + 2 * layer.padding for n in shape.positions]
    if min(lengths) < size:
        given = f"windows of size {size} on {shape}"
        raise refuse(path, layer, given, f"a size up to {min(lengths)}", "Take a smaller size.")
    return shape._replace(positions=tuple((n - size) // stride + 1 for n in lengths))


@SHAPES.rule(Flatten)
def _flatten(layer: Flatten, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    if shape.positions is None or shape.width is None:
        return Shape((), None)
    return Shape((), shape.size)
