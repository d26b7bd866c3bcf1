"""Config, presets and cases of vanishing_angles."""

import dataclasses
import math

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.runs.experiment import Case

ANGLE = di.quantities.log_sin2_angle

# The second-order theory omits O(1/width^3) per layer; from this width on it must hold everywhere.
CHECKED_FROM_WIDTH = 64
# Up to this angle: beyond it Gaussian steps omit O(1/width^2), up to 23 / width^2 at right angles,
# which control variates resolve. Slopes in 1/width are compared at every angle.
CHECKED_TO_ANGLE = 0.2
# hybrid and tapered add an exact small-angle term; hybrid keeps it at large angles, which is wrong.
SMALL_ANGLE = 0.5


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    widths: tuple[int, ...] = (16, 64, 256)
    """Widths of ReLU networks, one case each."""
    depth: int = 16
    """Hidden layers."""
    angles: tuple[float, ...] = (0.1,)
    """Angles between the inputs, in radians; every network sees all."""
    unequal: tuple[str, ...] = ()
    """Hidden widths of further ReLU cases, each as 256-64-256."""
    activations: tuple[str, ...] = ("tanh",)
    """Other activations: built-in names; leaky_relu has slope 0.1."""
    activation_width: int = 128
    """Width of the cases with other activations and with images."""
    image_pairs: int = 0
    """Pairs of real MNIST digits (extra `data`)."""
    num_seeds: int = 10_000
    """Networks per case."""
    histogram_layers: tuple[int, ...] = ()
    """Layers whose distribution is shown; default: the first and the last."""
    histogram_width: int = 64
    """Width of the case whose distribution is shown."""
    key: int = 0
    """Root key. ReLU networks of several widths, fitted together, take the keys from key + 1 on."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        widths=(256,),
        depth=32,
        activations=(),
        activation_width=256,
        image_pairs=3,
        num_seeds=5000,
        histogram_layers=(1, 30),
        histogram_width=256,
    ),
    "full": Config(
        widths=(16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        depth=32,
        angles=(0.1, 0.01, 0.5, 0.5 * math.pi),
        unequal=("256-128-64-32-64-128-256", "512-512-32-512-512"),
        activations=("leaky_relu", "tanh", "gelu", "erf"),
        activation_width=256,
        image_pairs=4,
        num_seeds=20_000,
        histogram_layers=(1, 30),
        histogram_width=256,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """ReLU at every width, unequal widths, other activations, real images."""
    pairs = di.inputs.pairs(config.angles)
    shared = {"num_seeds": config.num_seeds, "key": config.key}
    square = (config.activation_width,) * config.depth
    result = [
        relu_case(config, relu_name(width), (width,) * config.depth, pairs, 1 + place)
        for place, width in enumerate(config.widths)
    ]
    result += [
        relu_case(config, f"relu-{text}", unequal_widths(text), pairs) for text in config.unequal
    ]
    for name in config.activations:
        spec = di.MLP(square, di.leaky_relu(0.1) if name == "leaky_relu" else name)
        result.append(Case(name, spec, ANGLE, pairs, rejected=("infinite_width",), **shared))
    if config.image_pairs:
        images = di.inputs.image_pairs(config.image_pairs)
        theories = {"theories": ("second_order", "paper"), "checked": ("second_order",)}
        result.append(Case("images", di.MLP(square), ANGLE, images, **theories, **shared))
    return tuple(result)


def relu_name(width: int) -> str:
    """The case of ReLU networks of this width."""
    return f"relu-w{width}"


def relu_case(
    config: Config, name: str, widths: tuple[int, ...], pairs: di.inputs.Inputs, key: int = 0
) -> Case:
    """A ReLU network with all theories, measured with control variates; `key` after the root's."""
    spec = di.MLP(widths)
    holds = min(spec.widths) >= CHECKED_FROM_WIDTH and max(config.angles) <= CHECKED_TO_ANGLE
    hybrid = ("hybrid",) if max(config.angles) <= SMALL_ANGLE else ()
    checked = ("tapered", "second_order", *hybrid)
    shown = set(spec.widths) == {config.histogram_width}
    return Case(
        name,
        spec,
        ANGLE,
        pairs,
        config.num_seeds,
        checked=checked if holds else (),
        rejected=("infinite_width", "paper", "approximation"),
        sample_layers=histogram_layers(config) if shown else (),
        control="theory",
        key=config.key + key,
    )


def unequal_widths(text: str) -> tuple[int, ...]:
    """`256-64-256` as widths."""
    parts = text.split("-")
    if not all(part.isdigit() for part in parts):
        remedy = "Write --config.unequal 256-64-256."
        raise SpecError(f"the widths {text!r}", "integers joined by '-'", remedy)
    return tuple(int(part) for part in parts)


def histogram_layers(config: Config) -> tuple[int, ...]:
    """The layers whose distribution is shown."""
    return config.histogram_layers or tuple(sorted({1, config.depth}))
