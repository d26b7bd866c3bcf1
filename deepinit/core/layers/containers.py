"""Layers made of layers."""

import dataclasses
from typing import Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.layer import SHAPES, UNKNOWN, Layer, Shape, output_shape, refuse
from deepinit.core.layers.linear import put


@dataclasses.dataclass(frozen=True, repr=False, init=False)
class Sequential(Layer):
    """Layers in order. The key of child i is `fold_in(key, i)`.

    Attributes:
        name: in paths; None for none.
        keys: numbers folded into the key, per child; None for the key itself.
    """

    layers: tuple[Layer, ...]
    name: str | None
    keys: tuple[int | None, ...]

    def __init__(
        self, *layers: Layer, name: str | None = None, keys: tuple[int | None, ...] | None = None
    ) -> None:
        if len(layers) == 1 and isinstance(layers[0], tuple | list):
            layers = tuple(layers[0])
        kind = type(self).__name__
        if not layers:
            raise SpecError(f"{kind} of no layers", "one or more", f"{kind}(Dense(256)).")
        for number, layer in enumerate(layers):
            checked_layer(f"layer {number} of {kind}", layer)
        put(self, "layers", layers)
        put(self, "name", checked_name(name))
        put(self, "keys", tuple(range(len(layers))) if keys is None else tuple(keys))
        output_shape(self, UNKNOWN, name or "")  # refuses widths that do not fit

    def __repr__(self) -> str:
        parts = [repr(layer) for layer in self.layers]
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"{type(self).__name__}({', '.join(parts)})"


@dataclasses.dataclass(frozen=True, repr=False, init=False)
class Block(Sequential):
    """Layers that are measured as one, at their end."""


@dataclasses.dataclass(frozen=True, repr=False)
class Residual(Layer):
    """skip(x) + scale branch(x).

    Attributes:
        skip: a layer, or None for the identity.
        scale: a number, or "1/sqrt(depth)", depth the number of residual layers of the network.
        name: in paths; None for the branch's kind (attention, conv, dense, ...).
    """

    branch: Layer
    skip: Layer | None = None
    scale: float | Literal["1/sqrt(depth)"] = 1.0
    name: str | None = None

    def __post_init__(self) -> None:
        checked_layer("the branch of Residual", self.branch)
        if self.skip is not None:
            checked_layer("the skip of Residual", self.skip)
        if self.scale != "1/sqrt(depth)":
            remedy = "1.0 is usual; '1/sqrt(depth)' depends on the network."
            put(self, "scale", validate.real("scale of Residual", self.scale, remedy=remedy))
        put(self, "name", checked_name(self.name))
        output_shape(self, UNKNOWN, self.name or "")


@dataclasses.dataclass(frozen=True, repr=False)
class Repeat(Layer):
    """A layer `times` times, with independent weights, by one scan.

    `name`: in paths. `first`: number folded into the key of the first time; the next ones follow.
    """

    layer: Layer
    times: int
    name: str = "block"
    first: int = 1

    def __post_init__(self) -> None:
        checked_layer("the layer of Repeat", self.layer)
        put(self, "times", validate.integer("times of Repeat", self.times, 1))
        put(self, "name", checked_name(self.name) or "block")
        output_shape(self, UNKNOWN, self.name)


@dataclasses.dataclass(frozen=True, repr=False)
class Tied(Layer):
    """A layer `times` times, with the same weights and masks of dropout (arXiv 1512.05287)."""

    layer: Layer
    times: int
    name: str = "tied"

    def __post_init__(self) -> None:
        checked_layer("the layer of Tied", self.layer)
        put(self, "times", validate.integer("times of Tied", self.times, 1))
        put(self, "name", checked_name(self.name) or "tied")
        output_shape(self, UNKNOWN, self.name)


def checked_layer(name: str, layer: Layer) -> Layer:
    """The layer; SpecError for anything else."""
    validate.instance(name, layer, Layer, "a layer of di.layers", "Write di.layers.Dense(256).")
    return layer


def checked_name(name: str | None) -> str | None:
    """A name without dots."""
    if name is not None and not (isinstance(name, str) and name.isidentifier()):
        raise SpecError(f"name={name!r}", "letters, digits and _", "Write name='attention'.")
    return name


def kind_name(layer: Layer) -> str:
    """Name of a layer in paths."""
    name = getattr(layer, "name", None)
    if name:
        return name
    if isinstance(layer, Residual):
        return _principal(layer.branch)
    return type(layer).__name__.lower()


def _principal(layer: Layer) -> str:
    """attention, conv, dense, ...: the most telling kind in a branch."""
    kinds = [type(leaf).__name__.lower() for leaf in leaves(layer)]
    for kind in ("attention", "conv", "gate", "dense"):
        if kind in kinds:
            return "mlp" if kind in ("gate", "dense") else kind
    return kinds[-1]


def leaves(layer: Layer) -> list[Layer]:
    """Layers without children, in order; repeated ones once."""
    parts = children(layer)
    return [leaf for part in parts for leaf in leaves(part)] if parts else [layer]


def mixes_batch(layer: Layer) -> bool:
    """Whether outputs depend on the other inputs of a batch."""
    return any(leaf.mixes_batch for leaf in leaves(layer))


def children(layer: Layer) -> tuple[Layer, ...]:
    """Direct parts."""
    if isinstance(layer, Sequential):
        return layer.layers
    if isinstance(layer, Residual):
        return (layer.branch, *(() if layer.skip is None else (layer.skip,)))
    return (layer.layer,) if isinstance(layer, Repeat | Tied) else ()


def child_paths(layer: Sequential, path: str) -> tuple[str, ...]:
    """Paths of the children; equal names are numbered."""
    names = [kind_name(child) for child in layer.layers]
    result = []
    for number, name in enumerate(names):
        if names.count(name) > 1:
            name = f"{name}_{names[: number + 1].count(name)}"
        result.append(joined(path, name))
    return tuple(result)


def joined(path: str, name: str) -> str:
    """path.name."""
    return f"{path}.{name}" if path else name


@SHAPES.rule(Sequential)
def _sequential(layer: Sequential, shape: Shape, path: str) -> Shape:
    for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
        shape = output_shape(child, shape, child_path)
    return shape


@SHAPES.rule(Residual)
def _residual(layer: Residual, shape: Shape, path: str) -> Shape:
    branch = output_shape(layer.branch, shape, joined(path, "branch"))
    if layer.skip is not None:
        stream, name = output_shape(layer.skip, shape, joined(path, "skip")), "skip"
    else:
        stream, name = shape, "identity"
    if not _agree(branch, stream):
        given = f"a branch to {branch} beside the {name} to {stream}"
        remedy = "Change the branch's last layer, or give a skip."
        raise refuse(path, layer, given, "equal shapes", remedy)
    return stream if branch.width is None or branch.positions is None else branch


@SHAPES.rule(Repeat, Tied)
def _repeat(layer: Repeat | Tied, shape: Shape, path: str) -> Shape:
    after = output_shape(layer.layer, shape, joined(path, "1"))
    if layer.times > 1:
        again = output_shape(layer.layer, after, joined(path, "2"))
        same = _agree(after, shape) and shape.tokens in (False, None)
        if not same or not _agree(again, after):
            given = f"a layer from {shape} to {after}"
            remedy = "Write the first layer before Repeat."
            raise refuse(path, layer, given, "a layer that keeps the shape of its input", remedy)
    return after


def _agree(first: Shape, second: Shape) -> bool:
    pairs = ((first.width, second.width), (first.positions, second.positions))
    return all(a is None or b is None or a == b for a, b in pairs)
