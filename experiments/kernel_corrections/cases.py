"""Config, presets and cases of kernel_corrections."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np

import deepinit as di
from deepinit.core.inputs import Inputs
from deepinit.runs.experiment import Case

GRAM = np.array(
    [[1.0, 0.4], [0.4, 0.7]]
)  # of the first layer's preactivations, at every activation


class Gain(NamedTuple):
    """Weight variance (times fan-in) and bias variance."""

    weight_var: float
    bias_var: float


# Corrections accumulate with depth on critical lines (ReLU, tanh, erf), and converge in GELU's
# ordered phase.
GAINS = {
    "relu": Gain(2.0, 0.0),
    "tanh": Gain(1.0, 0.0),
    "erf": Gain(float(np.pi / 4), 0.0),
    "gelu": Gain(1.7, 0.2),
}
NAMES = {"relu": "ReLU", "tanh": "tanh", "erf": "erf", "gelu": "GELU"}
CRITICAL = ("relu", "tanh", "erf")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run."""

    activations: tuple[str, ...] = ("relu", "tanh", "gelu", "erf")
    """Activations, of relu, tanh, gelu, erf."""
    widths: tuple[int, ...] = (32, 64, 128, 256)
    """Widths of networks whose NNGP kernel is measured at every layer."""
    depth: int = 16
    """Depth of these networks."""
    shown_depths: tuple[int, ...] = (2, 4, 8, 16)
    """Layers with shown and checked slopes."""
    num_networks: int = 4000
    """Networks per width."""
    tangent_widths: tuple[int, ...] = (48, 96, 192)
    """Widths of networks whose tangent kernel is measured."""
    tangent_depths: tuple[int, ...] = (4,)
    """Hidden layers of these networks."""
    tangent_networks: int = 2000
    """Networks per width and depth."""
    narrow_width: int = 6
    """Width of ReLU networks compared with their exact law."""
    narrow_depth: int = 3
    """Depth of these networks."""
    narrow_networks: int = 20_000
    """Number of these networks."""
    covariance_width: int = 48
    """Width of tanh networks of three layers, for covariances of kernel and tangent kernel."""
    covariance_networks: int = 10_000
    """Number of these networks."""
    image_activations: tuple[str, ...] = ("relu",)
    """Activations of networks on real digits."""
    num_images: int = 3
    """Digits; 0 for none."""
    image_width: int = 64
    """Width of networks on digits."""
    image_depth: int = 6
    """Depth of these networks."""
    image_networks: int = 2000
    """Number of these networks."""
    key: int = 0
    """Root key. Ensembles that are fitted together take the keys from key + 1 on."""


PRESETS = {
    "smoke": Config(),
    "default": Config(
        widths=(16, 32, 64, 128, 256, 512),
        depth=64,
        shown_depths=(2, 4, 8, 16, 32, 64),
        num_networks=10_000,
        tangent_widths=(16, 32, 64, 128, 256),
        tangent_depths=(2, 8, 32),
        tangent_networks=4000,
        covariance_networks=40_000,
        image_activations=("relu", "gelu"),
        num_images=4,
        image_width=128,
        image_networks=10_000,
    ),
    "full": Config(
        widths=(16, 32, 64, 128, 256, 512, 1024),
        depth=64,
        shown_depths=(2, 4, 8, 16, 32, 64),
        num_networks=100_000,
        tangent_widths=(16, 32, 64, 128, 256, 512),
        tangent_depths=(2, 4, 8, 16, 32, 64),
        tangent_networks=40_000,
        narrow_networks=400_000,
        covariance_networks=400_000,
        image_activations=("relu", "tanh", "gelu", "erf"),
        num_images=8,
        image_width=256,
        image_depth=10,
        image_networks=40_000,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Kernels layer by layer, tangent kernels, exact laws, kurtosis, covariances, images."""
    return (
        *kernel_cases(config),
        *tangent_cases(config),
        *exact_cases(config),
        *kurtosis_cases(config),
        *covariance_cases(config),
        *image_cases(config),
    )


def network(activation: str, width: int, depth: int) -> di.MLP:
    """All layers alike; the output layer has the hidden layers' variance."""
    weight_var, bias_var = GAINS[activation]
    law = di.normal(weight_var)
    bias_law = di.normal(bias_var, "absolute") if bias_var else None
    return di.MLP((width,) * depth, activation, law, bias_law, output_width=1, output_law=law)


def pair(activation: str) -> Inputs:
    """Two inputs whose first preactivations have the covariance GRAM."""
    weight_var, bias_var = GAINS[activation]
    return di.inputs.points(np.linalg.cholesky((GRAM - bias_var) * 2.0 / weight_var), "two inputs")


def kernel_name(activation: str, width: int) -> str:
    """The name of a case of NNGP kernels."""
    return f"kernel-{activation}-w{width}"


def tangent_name(activation: str, width: int, depth: int) -> str:
    """The name of a case of tangent kernels."""
    return f"tangent-{activation}-w{width}-l{depth}"


def kernel_cases(config: Config) -> list[Case]:
    """A case per activation and width with control variates, each with its own key."""
    return [
        Case(
            kernel_name(activation, width),
            network(activation, width, config.depth),
            di.quantities.nngp,
            pair(activation),
            config.num_networks,
            control="theory",
            key=config.key + 1 + place,
        )
        for place, (activation, width) in enumerate(
            itertools.product(config.activations, config.widths)
        )
    ]


def tangent_cases(config: Config) -> list[Case]:
    """A case per activation, depth and width, each with its own key."""
    return [
        Case(
            tangent_name(activation, width, depth),
            network(activation, width, depth),
            di.quantities.ntk,
            pair(activation),
            config.tangent_networks,
            key=config.key + 1 + place,
        )
        for place, (activation, depth, width) in enumerate(
            itertools.product(config.activations, config.tangent_depths, config.tangent_widths)
        )
    ]


def exact_cases(config: Config) -> list[Case]:
    """Narrow ReLU networks at one input: exact mean and variance."""
    spec, x = (
        network("relu", config.narrow_width, config.narrow_depth),
        di.inputs.points([[1.0, 0.0]], "one input"),
    )
    law: dict = {"checked": ("exact",), "key": config.key}
    return [
        Case("exact-kernel", spec, di.quantities.nngp, x, config.narrow_networks, **law),
        Case("exact-tangent", spec, di.quantities.ntk, x, config.narrow_networks, **law),
    ]


def kurtosis_cases(config: Config) -> list[Case]:
    """Narrow ReLU networks, with an exact law, and tanh."""
    found, x = [], di.inputs.points([[1.0, 0.0]], "one input")
    spec = network("relu", 4 * config.narrow_width, config.narrow_depth)
    rejected = ("first_order", "infinite_width")
    found.append(
        Case(
            "kurtosis-relu",
            spec,
            di.quantities.output_kurtosis,
            x,
            config.narrow_networks,
            checked=("exact",),
            rejected=rejected,
            key=config.key,
        )
    )
    spec = network("tanh", config.widths[-1], config.depth)
    found.append(
        Case(
            "kurtosis-tanh",
            spec,
            di.quantities.output_kurtosis,
            x,
            config.num_networks,
            rejected=("infinite_width",),
            key=config.key,
        )
    )
    return found


def covariance_cases(config: Config) -> list[Case]:
    """Kernel and tangent kernel of the same networks, with stored values."""
    weight_law, bias_law = di.normal(1.3), di.normal(0.1, "absolute")
    width, networks = config.covariance_width, config.covariance_networks
    spec = di.MLP((width,) * 3, "tanh", weight_law, bias_law, output_width=1, output_law=weight_law)
    x = di.inputs.points(np.linalg.cholesky((GRAM - 0.1) * 2.0 / 1.3), "two inputs")
    return [
        Case(name, spec, quantity, x, networks, sample_layers=(layer,), key=config.key)
        for name, quantity, layer in (
            ("covariance-kernel", di.quantities.nngp, 3),
            ("covariance-tangent", di.quantities.ntk, 1),
        )
    ]


def image_cases(config: Config) -> list[Case]:
    """Real digits, the first of each class."""
    if not config.num_images:
        return []
    pixels, labels = di.inputs.images()
    chosen = [int(np.flatnonzero(labels == digit)[0]) for digit in range(config.num_images)]
    x = di.inputs.points(
        pixels[chosen], "MNIST digits " + ", ".join(map(str, range(config.num_images)))
    )
    found = []
    for activation in config.image_activations:
        spec = network(activation, config.image_width, config.image_depth)
        for name, quantity in (("kernel", di.quantities.nngp), ("tangent", di.quantities.ntk)):
            case = Case(
                f"images-{name}-{activation}",
                spec,
                quantity,
                x,
                config.image_networks,
                key=config.key,
            )
            found.append(case)
    return found
