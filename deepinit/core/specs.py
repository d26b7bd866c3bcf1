"""Frozen, hashable descriptions of random networks."""

import dataclasses
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepinit.core import layers
from deepinit.core.activations import Activation, from_json, relu
from deepinit.core.defaults import Chosen, forget_choices, pickled
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers import (
    Block,
    Dense,
    Layer,
    Program,
    Repeat,
    Sequential,
    Shape,
    layer_from_json,
)
from deepinit.core.matrix_laws import acts_on_rows, law_from_json
from deepinit.core.read_record import built, fields_of
from deepinit.core.residual_specs import ConvResNet, ResNet
from deepinit.core.spec_parts import (
    LAWS,
    WEIGHT_LAWS,
    checked_width,
    common_json,
    complete,
    has_conditional_map,
    laws_of,
    readout_layer,
)


@dataclasses.dataclass(frozen=True)
class MLP:
    """Fully connected network: z^{l+1} = W^{l+1} phi(z^l) + b^{l+1}, z^1 = W^1 x + b^1.

    Attributes:
        widths: of hidden layers.
        activation: an Activation, a built-in's name, or an elementwise JAX function.
        weight_law: of hidden layers; None for `normal(default_weight_var(activation))`: critical
            for homogeneous (He for ReLU) and odd activations; others (GELU, SiLU, softplus) keep
            unit preactivation variance, not critical (`di.critical`).
        bias_law: of all layers, scaling `absolute`, or None.
        output_width: of a linear output layer, or None.
        output_law: of its weights; None for `normal(1.0)`.

    Raises SpecError: no layers, width < 1, unknown activation, bias law not `absolute`.
    """

    widths: tuple[int, ...]
    activation: Activation = relu
    weight_law: Law | None = None
    bias_law: Law | None = None
    output_width: int | None = None
    output_law: Law | None = None
    _chosen: Chosen = dataclasses.field(default=(), kw_only=True, compare=False, repr=False)

    positions = 1  # rows of an input; images have one per position
    __reduce__ = pickled

    def __post_init__(self) -> None:
        forget_choices(self)
        object.__setattr__(self, "widths", _checked_widths(self.widths))
        complete(self)

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.widths)

    @property
    def has_conditional_map(self) -> bool:
        """Whether weight laws act on rows without drawing the matrix."""
        return has_conditional_map(self)

    @property
    def is_homogeneous(self) -> bool:
        """Whether F(c x) = c F(x), c > 0."""
        return self.activation.is_homogeneous and self.bias_law is None

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of hidden matrices, in order."""
        return tuple(zip((input_width, *self.widths[:-1]), self.widths, strict=True))

    def layers(self, shape: Shape) -> Program:
        """The network as layers; equal hidden layers are one Repeat. SpecError for unfit inputs."""
        shape = Shape((), shape.size)
        pairs, body, first = self.matrix_shapes(shape.size), [], 1
        for (_, width), run in itertools.groupby(pairs):
            hidden = (
                Dense(width, self.weight_law, self.bias_law),
                layers.Activation(self.activation),
            )
            block, times = Block(*hidden, keys=(None, None)), len(list(run))
            body.append(Repeat(block, times, first=first))
            first += times
        keys = (None,) * len(body)
        readout = readout_layer(self)
        return Program(
            shape, None, Sequential(*body, keys=keys), readout, 0, self.depth + 1, self.depth
        )

    def to_json(self) -> dict[str, Any]:
        """JSON record for `spec_from_json`."""
        return {"architecture": "MLP", "widths": list(self.widths), **common_json(self)}


Spec = MLP | ResNet | ConvResNet  # the named architectures
NetworkSpec = MLP | ResNet | ConvResNet | Layer

_ARCHITECTURES: dict[str, Any] = {"MLP": MLP, "ResNet": ResNet, "ConvResNet": ConvResNet}


def spec_from_json(record: dict[str, Any] | str) -> NetworkSpec:
    """Inverse of a spec's `to_json`, from record or text; SpecError for other records."""
    fields = fields_of("a network", record)
    if "type" in fields:
        return layer_from_json(fields)
    architecture = fields.pop("architecture", None)
    if architecture not in _ARCHITECTURES:
        remedy = "A newer deepinit may have written this spec; update."
        given = f"the architecture {architecture!r}"
        raise SpecError(given, ", ".join(_ARCHITECTURES), remedy)
    readers: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(LAWS, law_from_json),
        **dict.fromkeys(("activation", "inner_activation"), from_json),
        **dict.fromkeys(("widths", "image_shape"), tuple),
    }
    fields = {name: readers.get(name, lambda value: value)(value) for name, value in fields.items()}
    return built(_ARCHITECTURES[architecture], **fields)


LINEAR_MAPS = ("auto", "explicit", "conditional", "chi_square")


def choose_linear_map(spec: Spec, name: str, num_rows: int = 2) -> str:
    """How to draw linear maps (LINEAR_MAPS) of `num_rows` rows together.

    `auto` is conditional where exact and cheaper.
    Raises SpecError: `conditional` with a law neither Gaussian (independent or product covariance)
        nor Haar.
    """
    if name not in LINEAR_MAPS:
        remedy = "Leave it out for the fastest exact one."
        raise SpecError(f"linear_map={name!r}", ", ".join(LINEAR_MAPS), remedy)
    if name == "auto":
        # orthogonalizing k rows takes 4 k^2 n operations, drawing a matrix n^2 numbers (measured:
        # equal at k^2 = 12 n)
        few = (num_rows * spec.positions) ** 2 <= 8 * max(spec.widths) // spec.positions
        return "conditional" if spec.has_conditional_map and few else "explicit"
    if name == "conditional" and not spec.has_conditional_map:
        laws = {law.name for law in laws_of(spec, WEIGHT_LAWS).values() if not acts_on_rows(law)}
        raise SpecError(
            f"linear_map='conditional' with the weight law {', '.join(sorted(laws))!r}",
            "'conditional' with independent or matrix-normal Gaussian, or orthogonal, weights; "
            "'explicit' with every law",
            "Take linear_map='explicit', or leave it out.",
        )
    return name


def choose_transposes(spec: Spec, name: str, num_rows: int) -> str:
    """`choose_linear_map` for the backward pass, where Haar matrices are explicit.

    `num_rows`: points and functions together.
    Raises SpecError: as `choose_linear_map`; `conditional` with a Haar law; `chi_square`.
    """
    haar = any(isinstance(law, Law) and law.is_haar for law in laws_of(spec, WEIGHT_LAWS).values())
    if name == "chi_square" or (name == "conditional" and haar):
        given = "with an orthogonal law" if haar else "for a quantity of the backward pass"
        raise SpecError(f"linear_map={name!r} {given}", "explicit", "Leave linear_map out.")
    return "explicit" if haar else choose_linear_map(spec, name, num_rows)


def _checked_widths(widths: Any) -> tuple[int, ...]:
    if not np.iterable(widths):
        remedy = f"Write ({widths!r},) * depth."
        raise SpecError(f"widths={widths!r}", "one integer per hidden layer", remedy)
    if not len(given := tuple(widths)):
        allowed, remedy = "at least one hidden layer", "Write (256,) * 10."
        raise SpecError("no layers (widths is empty)", allowed, remedy)
    return tuple(checked_width(width, f"at layer {at}") for at, width in enumerate(given, start=1))
