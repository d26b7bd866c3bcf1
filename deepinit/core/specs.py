"""Specs: frozen, hashable descriptions of a random network. Everything else derives from them."""

import dataclasses
import json
import operator
from typing import Any

from deepinit.core.activations import Activation, as_activation, from_json, relu
from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import default_weight_var
from deepinit.core.laws import Law, normal


@dataclasses.dataclass(frozen=True)
class MLP:
    """A fully connected network: z^{l+1} = W^{l+1} phi(z^l) + b^{l+1}, z^1 = W^1 x + b^1.

    Attributes:
        widths: neurons of each hidden layer, in order; the input width comes with the inputs.
        activation: an Activation, a built-in's name, or any elementwise JAX function.
        weight_law: law of every hidden layer's weights; None takes `normal(default_weight_var(activation))`, which is
            He initialization for ReLU.
        bias_law: law of every layer's biases (scaling `absolute`); None for no bias.
        output_width: neurons of the linear output layer; None for no output layer.
        output_law: law of the output weights; None takes `normal(1.0)`.

    Raises:
        SpecError: no layers, a width that is not an integer >= 1, an unknown activation, a law that is not a `Law`, a
            bias law that is not `absolute`.
    """

    widths: tuple[int, ...]
    activation: Activation = relu
    weight_law: Law | None = None
    bias_law: Law | None = None
    output_width: int | None = None
    output_law: Law | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "widths", _checked_widths(self.widths))
        _complete(self)

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.widths)

    @property
    def has_conditional_map(self) -> bool:
        """Every weight law is Gaussian or Haar: its action on given rows has a law that can be drawn without the matrix."""
        return _all_conditional(self.weight_law, self.output_law)

    @property
    def is_homogeneous(self) -> bool:
        """F(c x) = c F(x) for every c > 0: homogeneous activation and no bias."""
        return self.activation.is_homogeneous and self.bias_law is None

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of every hidden matrix, in order."""
        return tuple(zip((input_width, *self.widths[:-1]), self.widths, strict=True))

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `spec_from_json` reads back to an equal spec."""
        return {"architecture": "MLP", "widths": list(self.widths), **_common_json(self)}


@dataclasses.dataclass(frozen=True)
class ResNet:
    """A residual network of two-layer blocks: x^{l+1} = x^l + V^l phi(W^l x^l + b^l), x^0 the input.

    Attributes:
        width: of the stream x; the inputs have the same.
        depth: number of blocks.
        branch_width: neurons of a branch, between W and V; None takes `width`.
        activation: as for MLP.
        weight_law: law of W; None takes `normal(default_weight_var(activation))`.
        branch_law: law of V; None takes `normal(1.0, scaling="depth")`: the variances of all branches add up to that of the
            stream, whatever the depth.
        bias_law: law of the biases inside the branches and of the output layer (scaling `absolute`); None for no bias.
        output_width: neurons of the linear output layer; None for no output layer.
        output_law: law of the output weights; None takes `normal(1.0)`.

    Raises:
        SpecError: as for MLP.
    """

    width: int
    depth: int
    branch_width: int | None = None
    activation: Activation = relu
    weight_law: Law | None = None
    branch_law: Law | None = None
    bias_law: Law | None = None
    output_width: int | None = None
    output_law: Law | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", _checked_width(self.width, "of the stream"))
        check_integer("depth", self.depth, 1, "Give at least one block.")
        given = self.width if self.branch_width is None else self.branch_width
        object.__setattr__(self, "branch_width", _checked_width(given, "of the branches"))
        if self.branch_law is None:
            object.__setattr__(self, "branch_law", normal(1.0, scaling="depth"))
        _complete(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """The stream's width after every block."""
        return (self.width,) * self.depth

    @property
    def has_conditional_map(self) -> bool:
        """Every weight law is Gaussian or Haar: its action on given rows has a law that can be drawn without the matrix."""
        return _all_conditional(self.weight_law, self.branch_law, self.output_law)

    @property
    def is_homogeneous(self) -> bool:
        """F(c x) = c F(x) for every c > 0: homogeneous activation and no bias."""
        return self.activation.is_homogeneous and self.bias_law is None

    def matrix_shapes(self, input_width: int) -> tuple[tuple[int, int], ...]:
        """(fan_in, fan_out) of every matrix of the blocks, in order.

        Raises:
            SpecError: inputs of another width than the stream.
        """
        if input_width != self.width:
            raise SpecError(
                refusal(
                    f"inputs of dimension {input_width} for a residual network of width {self.width}",
                    "inputs of the stream's width",
                    f"Take width={input_width}, or other inputs.",
                )
            )
        assert self.branch_width is not None
        return ((self.width, self.branch_width), (self.branch_width, self.width)) * self.depth

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `spec_from_json` reads back to an equal spec."""
        numbers = ("width", "depth", "branch_width")
        return {"architecture": "ResNet", **{name: getattr(self, name) for name in numbers}, **_common_json(self)}


Spec = MLP | ResNet

_LAWS = ("weight_law", "branch_law", "bias_law", "output_law")


def spec_from_json(record: dict[str, Any] | str) -> Spec:
    """The spec that wrote this record (a dict, or its JSON text)."""
    fields = dict(json.loads(record) if isinstance(record, str) else record)
    architecture = fields.pop("architecture", None)
    if architecture not in ("MLP", "ResNet"):
        raise SpecError(
            refusal(
                f"the architecture {architecture!r}",
                "MLP, ResNet",
                "A newer deepinit may have written this spec; update.",
            )
        )
    fields["activation"] = from_json(fields["activation"])
    for name in _LAWS:
        if name in fields:
            fields[name] = Law(**fields[name])
    if architecture == "ResNet":
        return ResNet(**fields)
    return MLP(**{**fields, "widths": tuple(fields["widths"])})


def _complete(spec: Any) -> None:
    """Checks and completes what all specs share: activation, laws, output layer."""
    object.__setattr__(spec, "activation", as_activation(spec.activation))
    for name in _LAWS:
        law = getattr(spec, name, None)
        _check_law(name, law)
        if name != "bias_law" and law is not None and not law.is_symmetric:
            raise SpecError(refusal(f"{name}={law.name}", "laws symmetric about 0", "Constants are for biases only."))
    if spec.weight_law is None:
        object.__setattr__(spec, "weight_law", normal(default_weight_var(spec.activation)))
    if spec.bias_law is not None and spec.bias_law.scaling != "absolute":
        raise SpecError(
            refusal(
                f"a bias law with scaling {spec.bias_law.scaling!r}",
                "scaling 'absolute': the variance of one bias",
                "Write for example di.normal(0.01, scaling='absolute').",
            )
        )
    if spec.output_width is not None:
        object.__setattr__(spec, "output_width", _checked_width(spec.output_width, "of the output layer"))
        if spec.output_law is None:
            object.__setattr__(spec, "output_law", normal(1.0))
    elif spec.output_law is not None:
        raise SpecError(refusal("an output law without an output layer", "both or neither", "Give output_width too."))


def _all_conditional(*laws: Law | None) -> bool:
    return all(law.is_gaussian or law.is_haar for law in laws if law is not None)


def _common_json(spec: Any) -> dict[str, Any]:
    laws = {name: law.to_json() for name in _LAWS if (law := getattr(spec, name, None)) is not None}
    output = {"output_width": spec.output_width} if spec.output_width is not None else {}
    return {"activation": spec.activation.to_json(), **laws, **output}


LINEAR_MAPS = ("auto", "explicit", "conditional", "chi_square")


def choose_linear_map(spec: Spec, name: str, num_rows: int = 2) -> str:
    """How to draw the linear maps; resolves `auto`: conditional where it is exact and cheaper, else explicit.

    Args:
        spec: the network.
        name: one of LINEAR_MAPS.
        num_rows: rows that travel through the network together.

    Raises:
        SpecError: `conditional` with a law that is neither Gaussian nor Haar, or an unknown name.
    """
    if name not in LINEAR_MAPS:
        raise SpecError(
            refusal(f"linear_map={name!r}", ", ".join(LINEAR_MAPS), "Leave it out for the fastest exact one.")
        )
    if name == "auto":
        # making k rows orthogonal takes 4 k^2 n operations, drawing a matrix n^2 numbers (measured: even at k^2 = 12 n)
        few = num_rows**2 <= 8 * max(spec.widths)
        return "conditional" if spec.has_conditional_map and few else "explicit"
    if name == "conditional" and not spec.has_conditional_map:
        given = (getattr(spec, name, None) for name in ("weight_law", "branch_law", "output_law"))
        laws = {law.name for law in given if law is not None and not (law.is_gaussian or law.is_haar)}
        raise SpecError(
            refusal(
                f"linear_map='conditional' with the weight law {', '.join(sorted(laws))!r}",
                "'conditional' with Gaussian or orthogonal weights, 'explicit' with every law",
                "Take linear_map='explicit', or leave it out.",
            )
        )
    return name


def check_integer(name: str, given: Any, least: int, remedy: str, most: int | None = None) -> None:
    """Refuses what is not an integer of least, ..., most (no upper end if None)."""
    try:
        allowed = operator.index(given) >= least and (most is None or operator.index(given) <= most)
    except TypeError:
        allowed = False
    if not allowed:
        numbers = f"integers >= {least}" if most is None else f"integers from {least} to {most}"
        raise SpecError(refusal(f"{name}={given!r}", numbers, remedy))


def check_num_seeds(num_seeds: Any) -> None:
    """Refuses fewer than one network, parts of a network, and more networks than 32 bits number."""
    check_integer("num_seeds", num_seeds, 1, "A thousand networks give 3 % error bars.", most=2**32 - 1)


def _check_law(name: str, law: Any) -> None:
    if law is not None and not isinstance(law, Law):
        remedy = "di.normal(0.01, scaling='absolute')" if name == "bias_law" else "di.normal(2.0)"
        raise SpecError(refusal(f"{name}={law!r}", "a law, or None for the default", f"Write for example {remedy}."))


def _checked_widths(widths: Any) -> tuple[int, ...]:
    try:
        given = tuple(widths)
    except TypeError:
        raise SpecError(
            refusal(f"widths={widths!r}", "one integer per hidden layer", f"Write ({widths!r},) * depth.")
        ) from None
    if not given:
        raise SpecError(refusal("no layers (widths is empty)", "at least one hidden layer", "Write (256,) * 10."))
    return tuple(_checked_width(width, f"at layer {layer}") for layer, width in enumerate(given, start=1))


def _checked_width(given: Any, where: str) -> int:
    try:
        width = int(given)
    except (TypeError, ValueError, OverflowError):  # no number; NaN; infinity
        width = 0
    if width < 1 or width != given:
        raise SpecError(
            refusal(f"width {given!r} {where}", "integers >= 1", "Give every layer a whole number of neurons.")
        )
    return width
