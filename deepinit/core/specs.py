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
        object.__setattr__(self, "activation", as_activation(self.activation))
        for name in ("weight_law", "bias_law", "output_law"):
            _check_law(name, getattr(self, name))
        if self.weight_law is None:
            object.__setattr__(self, "weight_law", normal(default_weight_var(self.activation)))
        if self.bias_law is not None and self.bias_law.scaling != "absolute":
            raise SpecError(
                refusal(
                    f"a bias law with scaling {self.bias_law.scaling!r}",
                    "scaling 'absolute': the variance of one bias",
                    "Write for example di.normal(0.01, scaling='absolute').",
                )
            )
        if self.output_width is not None:
            object.__setattr__(self, "output_width", _checked_width(self.output_width, "of the output layer"))
            if self.output_law is None:
                object.__setattr__(self, "output_law", normal(1.0))
        elif self.output_law is not None:
            raise SpecError(
                refusal("an output law without an output layer", "both or neither", "Give output_width too.")
            )

    @property
    def depth(self) -> int:
        """The number of hidden layers."""
        return len(self.widths)

    @property
    def is_gaussian(self) -> bool:
        """Every weight matrix has independent Gaussian entries."""
        laws = (self.weight_law, self.output_law)
        return all(law.is_gaussian for law in laws if law is not None)

    @property
    def angles_are_markov(self) -> bool:
        """Homogeneous activation and no bias: the angle between two inputs is a Markov chain by itself."""
        return self.activation.is_homogeneous and self.bias_law is None

    def to_json(self) -> dict[str, Any]:
        """A JSON record that `spec_from_json` reads back to an equal spec."""
        return {
            "architecture": "MLP",
            "widths": list(self.widths),
            "activation": self.activation.to_json(),
            **{
                name: law.to_json()
                for name in ("weight_law", "bias_law", "output_law")
                if (law := getattr(self, name)) is not None
            },
            **({"output_width": self.output_width} if self.output_width is not None else {}),
        }


Spec = MLP


def spec_from_json(record: dict[str, Any] | str) -> Spec:
    """The spec that wrote this record (a dict, or its JSON text)."""
    fields = dict(json.loads(record) if isinstance(record, str) else record)
    architecture = fields.pop("architecture", None)
    if architecture != "MLP":
        raise SpecError(
            refusal(f"the architecture {architecture!r}", "MLP", "A newer deepinit may have written this spec; update.")
        )
    fields["activation"] = from_json(fields["activation"])
    for name in ("weight_law", "bias_law", "output_law"):
        if name in fields:
            fields[name] = Law(**fields[name])
    return MLP(**{**fields, "widths": tuple(fields["widths"])})


LINEAR_MAPS = ("auto", "explicit", "conditional")


def choose_linear_map(spec: Spec, name: str) -> str:
    """How to draw the linear maps; resolves `auto`: conditional where it is exact (Gaussian weights), explicit elsewhere.

    Raises:
        SpecError: `conditional` with a law that is not Gaussian, or an unknown name.
    """
    if name not in LINEAR_MAPS:
        raise SpecError(
            refusal(f"linear_map={name!r}", ", ".join(LINEAR_MAPS), "Leave it out for the fastest exact one.")
        )
    if name == "auto":
        return "conditional" if spec.is_gaussian else "explicit"
    if name == "conditional" and not spec.is_gaussian:
        laws = {law.name for law in (spec.weight_law, spec.output_law) if law is not None and not law.is_gaussian}
        raise SpecError(
            refusal(
                f"linear_map='conditional' with the weight law {', '.join(sorted(laws))!r}",
                "'conditional' with independent Gaussian weights, 'explicit' with every law",
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
