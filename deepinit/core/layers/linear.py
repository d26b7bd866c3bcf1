"""Random linear layers."""

import dataclasses
from typing import Any, ClassVar, Literal

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law, normal
from deepinit.core.layers.layer import (
    SHAPES,
    Layer,
    Shape,
    refuse,
    require_positions,
    require_values,
)
from deepinit.core.matrix_laws import MatrixLaw

ConvPadding = Literal["circular", "zero", "valid"]
CONV_PADDINGS = ("circular", "zero", "valid")


@dataclasses.dataclass(frozen=True, repr=False)
class Dense(Layer):
    """z = W h + b at every position, W [width, fan_in].

    Attributes:
        law: of W; None for `normal(1.0)`, variance 1 / fan_in.
        bias: law of b, scaling `absolute` (or `depth`), or None.
    """

    width: int
    law: Law | MatrixLaw | None = None
    bias: Law | MatrixLaw | None = None
    default_laws: ClassVar[dict[str, Law]] = {"law": normal(1.0)}

    def __post_init__(self) -> None:
        put(self, "width", validate.integer("width of Dense", self.width, 1))
        complete_laws(self)


@dataclasses.dataclass(frozen=True, repr=False)
class MeanDense(Dense):
    """Dense on the mean over positions; readout of `ConvResNet`."""


@dataclasses.dataclass(frozen=True, repr=False)
class Conv(Layer):
    """Convolution: Dense on the patch around (or from) every position.

    Attributes:
        size: side of the patch; fan_in = channels size^d.
        padding: `zero` or `circular`, centred patches of odd size; `valid`, patches inside.
        law, bias: as for `Dense`.
    """

    channels: int
    size: int = 3
    stride: int = 1
    padding: ConvPadding = "zero"
    law: Law | MatrixLaw | None = None
    bias: Law | MatrixLaw | None = None
    default_laws: ClassVar[dict[str, Law]] = {"law": normal(1.0)}

    def __post_init__(self) -> None:
        for name in ("channels", "size", "stride"):
            put(self, name, validate.integer(f"{name} of Conv", getattr(self, name), 1))
        put(self, "padding", validate.choice("padding", self.padding, CONV_PADDINGS))
        if self.size % 2 == 0 and self.padding != "valid":
            given = f"Conv with size={self.size} and padding={self.padding!r}"
            allowed = "an odd size, whose patch has a centre, or padding='valid'"
            raise SpecError(given, allowed, "3 is usual.")
        complete_laws(self)


@dataclasses.dataclass(frozen=True, repr=False)
class Embed(Layer):
    """Row E_token of every token; entries of E have `law` (None: N(0, 1)), scaling `absolute`."""

    width: int
    law: Law | None = None
    default_laws: ClassVar[dict[str, Law]] = {"law": normal(1.0, "absolute")}

    def __post_init__(self) -> None:
        put(self, "width", validate.integer("width of Embed", self.width, 1))
        complete_laws(self)
        if not isinstance(self.law, Law):
            raise SpecError(f"Embed with {self.law!r}", "laws of independent entries", "di.normal.")
        if self.law.scaling != "absolute":
            remedy = "Write di.normal(1.0, 'absolute')."
            raise SpecError(f"Embed with scaling {self.law.scaling!r}", "'absolute'", remedy)


def put(layer: Any, name: str, value: Any) -> None:
    """Set a field of a frozen layer."""
    object.__setattr__(layer, name, value)


def complete_laws(layer: Any) -> None:
    """Check laws of a layer; None becomes the default."""
    for name, default in layer.default_laws.items():
        law = getattr(layer, name)
        if law is None:
            put(layer, name, default)
        elif not isinstance(law, Law | MatrixLaw):
            given, remedy = f"{name}={law!r} of {type(layer).__name__}", "Write di.normal(2.0)."
            raise SpecError(given, "a law, or None for the default", remedy)
        elif isinstance(law, Law) and not law.is_symmetric:
            given = f"{name} of {type(layer).__name__}: {law.name}"
            raise SpecError(given, "laws symmetric about 0", "Constants are for biases only.")
    bias = getattr(layer, "bias", None)
    if bias is None:
        return
    if not isinstance(bias, Law | MatrixLaw) or bias.scaling == "fan_in":
        given = f"bias={bias!r} of {type(layer).__name__}"
        remedy = "Write di.normal(0.01, 'absolute')."
        raise SpecError(given, "a law with scaling 'absolute' or 'depth', or None", remedy)


@SHAPES.rule(Dense)
def _dense(layer: Dense, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    return Shape(shape.positions, layer.width)


@SHAPES.rule(MeanDense)
def _mean_dense(layer: MeanDense, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    return Shape((), layer.width)


@SHAPES.rule(Embed)
def _embed(layer: Embed, shape: Shape, path: str) -> Shape:
    if shape.tokens is False:
        remedy = "Take di.inputs.tokens(...), or di.layers.Dense for vectors."
        raise refuse(path, layer, "an input of vectors", "tokens", remedy)
    return Shape(shape.positions, layer.width)


@SHAPES.rule(Conv)
def _conv(layer: Conv, shape: Shape, path: str) -> Shape:
    require_values(path, layer, shape)
    remedy = "Take di.inputs.arranged(images), or di.layers.Dense for vectors."
    require_positions(path, layer, shape, remedy)
    if shape.positions is None:
        return Shape(None, layer.channels)
    margin = 0 if layer.padding == "valid" else layer.size - 1
    if min(shape.positions) + margin < layer.size or (
        layer.padding == "circular" and layer.size > min(shape.positions)
    ):
        given = f"patches of size {layer.size} on {shape}"
        raise refuse(path, layer, given, f"a size up to {min(shape.positions)}", "Take a smaller.")
    positions = tuple((n + margin - layer.size) // layer.stride + 1 for n in shape.positions)
    return Shape(positions, layer.channels)
