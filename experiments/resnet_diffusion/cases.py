"""What the experiment on diffusions measures: its config, its presets, its cases."""

import dataclasses

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.plots.functions import MAX_FUNCTIONS
from deepinit.runs.experiment import Case

from .analysis import DOUBLE_LIMIT, DRAW, EXACT, KERNELS, MOMENTS, PREACTIVATION, positions_quantity

UNIT = di.normal(1.0, "depth")
EDGE_OF_CHAOS = {"tanh": (1.3041**2, 0.2**2), "relu": (2.0, 0.0)}
IMAGE = (1.0, 0.2, -0.5, 0.3, 0.8, -0.1)
SMALL = 0.05  # an input at which tanh is nearly linear
BEYOND = 1.2  # horizon over explosion time
EXPLODING = 2.0  # z of the input that explodes


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure."""

    size: int = 64
    """Width and depth of the random functions and of the moments of x_T."""
    num_inputs: int = 7
    """Inputs z in [-2, 2] of the random functions."""
    num_draws: int = 1000
    """Networks of these."""
    drawn_widths: tuple[int, ...] = (8, 64)
    """Other widths of random functions of residual networks, () for none; at most eight pairs with the depths."""
    drawn_depths: tuple[int, ...] = (8, 64)
    """Their depths."""
    num_paths: int = 1000
    """Paths of the limiting equation for the moments of x_T, steps as the networks' layers."""
    table_widths: tuple[int, ...] = (8, 32)
    """Widths of the table of kernels."""
    table_depths: tuple[int, ...] = (16, 64)
    """Its depths."""
    table_networks: int = 500
    """Networks of each of its entries."""
    linear_depths: tuple[int, ...] = (64,)
    """Depths of linear networks of the first width."""
    squares: tuple[int, ...] = (15, 50)
    """Widths that are depths too, of the tangent kernels."""
    crossed: tuple[int, ...] = ()
    """(15, 850): a network as narrow as the first and as deep as the second, and one as wide and as shallow; () for neither."""
    square_networks: int = 400
    """Networks of each of these."""
    gradient_width: int = 8
    """Width of the networks whose gradients and determinants are log-normal."""
    gradient_depth: int = 200
    """Their depth."""
    gradient_networks: int = 2000
    """Their number."""
    exploding_depths: tuple[int, ...] = (32, 128)
    """Depths of swish networks beyond the explosion time of their limit."""
    strong_depths: tuple[int, ...] = (32, 128)
    """Depths of the networks that are driven by the noise of their limit."""
    strong_networks: int = 128
    """Their number."""
    channels: int = 16
    """Of the convolutional network."""
    convolution_depth: int = 64
    """Its depth."""
    convolution_networks: int = 600
    """Their number."""
    map_points: int = 13
    """Points along each side of the correlation maps."""
    map_depth: int = 32
    """Depth of the feed-forward networks among them."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        size=500,
        num_inputs=17,
        num_draws=10_000,
        drawn_widths=(15, 50, 150, 500),
        drawn_depths=(15, 500),
        num_paths=10_000,
        table_widths=(8, 32, 128),
        table_depths=(16, 64, 256),
        table_networks=4000,
        linear_depths=(16, 256),
        squares=(15, 50, 150, 300, 850),
        crossed=(15, 850),
        square_networks=1000,
        gradient_depth=400,
        gradient_networks=4000,
        exploding_depths=(32, 128, 512),
        strong_depths=(32, 64, 128, 256, 512),
        strong_networks=512,
        channels=32,
        convolution_depth=400,
        convolution_networks=1000,
        map_points=81,
        map_depth=500,
    ),
    "full": Config(
        size=500,
        num_inputs=41,
        num_draws=10_000,
        drawn_widths=(15, 50, 150, 500),
        drawn_depths=(15, 500),
        num_paths=10_000,
        table_widths=(8, 32, 128, 512),
        table_depths=(16, 64, 256, 1024),
        table_networks=10_000,
        linear_depths=(16, 256),
        squares=(15, 50, 150, 300, 850),
        crossed=(15, 850),
        square_networks=4000,
        gradient_depth=1000,
        gradient_networks=20_000,
        exploding_depths=(32, 128, 512, 2048),
        strong_depths=(32, 64, 128, 256, 512, 1024),
        strong_networks=2048,
        channels=64,
        convolution_depth=1000,
        convolution_networks=4000,
        map_points=81,
        map_depth=500,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Moments, random functions, kernels by width and depth, gradients, explosions, a convolution."""
    return (
        *moment_cases(config),
        *function_cases(config),
        *kernel_cases(config),
        *gradient_cases(config),
        *explosion_cases(config),
        convolution_case(config),
    )


def copied(values: tuple[float, ...], width: int, label: str) -> Inputs:
    """Every number copied to all coordinates."""
    return di.inputs.points(np.outer(values, np.ones(width)), label)


def shallow(width: int, depth: int, activation: str = "tanh", horizon: float = 1.0) -> di.ResNet:
    """sigma_w^2 = sigma_b^2 = horizon over the whole depth."""
    law = di.normal(horizon, "depth")
    return di.ResNet(
        width, depth, block="shallow", activation=activation, weight_law=law, bias_law=law
    )


def numbers(config: Config) -> np.ndarray:
    """z of the random functions."""
    return np.linspace(-2.0, 2.0, config.num_inputs)


def function_cases(config: Config) -> list[Case]:
    """Random functions of z: feed-forward networks at the edge of chaos, residual networks."""
    size, last = config.size, (config.size,)
    inputs, found = copied(tuple(numbers(config)), size, "z in [-2, 2]"), []
    for activation, (weight_var, bias_var) in EDGE_OF_CHAOS.items():
        bias_law = di.normal(bias_var, "absolute") if bias_var else None
        spec = di.MLP((size,) * size, activation, di.normal(weight_var), bias_law)
        name = f"functions-mlp-{activation}"
        found.append(
            Case(
                name,
                spec,
                PREACTIVATION,
                inputs,
                config.num_draws,
                sample_layers=last,
                key=config.key,
            )
        )
    sizes = {
        drawn_name(config, width, depth): (width, depth)
        for width, depth in ((size, size), *drawn_sizes(config))
    }
    for activation in ("tanh", "silu"):
        for name, (width, depth) in sizes.items():
            # a mean that depends on squares (phi'' != 0) has a bias of order 1 / width
            checked = ("infinite_width",) if activation == "tanh" or width == size else ()
            found.append(
                Case(
                    f"{name}-{activation}",
                    shallow(width, depth, activation),
                    DRAW,
                    copied(tuple(numbers(config)), width, "z in [-2, 2]"),
                    config.num_draws,
                    checked=checked,
                    sample_layers=(depth,),
                    key=config.key,
                )
            )
    return found


def drawn_sizes(config: Config) -> list[tuple[int, int]]:
    """Widths and depths of the residual networks beside each other in one figure.

    Raises:
        SpecError: more than the figure has panels.
    """
    sizes = [(width, depth) for depth in config.drawn_depths for width in config.drawn_widths]
    if len(sizes) > MAX_FUNCTIONS:
        raise SpecError(
            f"{len(config.drawn_widths)} widths by {len(config.drawn_depths)} depths of random functions",
            f"{MAX_FUNCTIONS} pairs, which one figure shows",
            "Take fewer --config.drawn-widths or --config.drawn-depths.",
        )
    return sizes


def drawn_name(config: Config, width: int, depth: int) -> str:
    """Of the case, less its activation."""
    return (
        "functions-resnet"
        if width == depth == config.size
        else f"functions-resnet-w{width}-l{depth}"
    )


def moment_cases(config: Config) -> list[Case]:
    """x_T at z = 0 and 1: one coordinate, and averages over all."""
    spec, inputs = shallow(config.size, config.size), copied((0.0, 1.0), config.size, "z = 0, 1")
    law: dict = {"checked": ("infinite_width",), "key": config.key}
    return [
        Case("moments", spec, MOMENTS, inputs, config.num_draws, **law),
        Case(
            "overlaps", spec, di.quantities.nngp, inputs, config.num_draws, rejected=(EXACT,), **law
        ),
    ]


def kernel_cases(config: Config) -> list[Case]:
    """Kernels at z = 1, 2 by width and depth; a linear network, whose means at finite depth hold at every width."""
    sizes = [(f"table-w{w}-l{d}", w, d) for w in config.table_widths for d in config.table_depths]
    sizes += [(f"square-{size}", size, size) for size in config.squares]
    pairs = {(a, b) for a in config.crossed for b in config.crossed if a != b}
    sizes += [(f"square-w{width}-l{depth}", width, depth) for width, depth in sorted(pairs)]
    found = []
    for name, width, depth in sizes:
        inputs = copied((1.0, 2.0), width, "z = 1, 2")
        networks = config.table_networks if name.startswith("table") else config.square_networks
        # narrow tanh networks of few layers differ from infinite width by O(1 / (width depth)): reported, not checked
        checked = ("infinite_width",) if width >= 32 else ()
        rejected = (EXACT,) if depth <= 64 else ()
        spec = shallow(width, depth)
        found.append(
            Case(
                name,
                spec,
                KERNELS,
                inputs,
                networks,
                checked=checked,
                rejected=rejected,
                key=config.key,
            )
        )
    width, inputs = config.table_widths[0], copied((1.0, 2.0), config.table_widths[0], "z = 1, 2")
    for depth in sorted(set(config.linear_depths)):
        spec, networks = shallow(width, depth, "linear"), 4 * config.table_networks
        rejected = (EXACT,) if depth <= 16 else ()
        linear = {"checked": ("infinite_width",), "rejected": rejected, "key": config.key}
        found.append(Case(f"linear-w{width}-l{depth}", spec, KERNELS, inputs, networks, **linear))
    return found


def gradient_cases(config: Config) -> list[Case]:
    """Gradients by layer and the determinant of the Jacobian, at an input that is small."""
    width = config.gradient_width
    spec = di.ResNet(width, config.gradient_depth, block="shallow")
    inputs = copied((SMALL,), width, f"z = {SMALL:g}")
    frame = di.frames.at(SMALL * np.ones((1, width)), np.eye(width)[None])
    law: dict = {"checked": (EXACT,), "key": config.key}
    return [
        Case(
            "gradients",
            spec,
            di.quantities.log_gradient_norm,
            inputs,
            config.gradient_networks,
            **law,
        ),
        Case("determinant", spec, di.quantities.log_volume, frame, config.gradient_networks, **law),
    ]


def explosion_time(z: float) -> float:
    """Of swish networks with unit variances, inputs z copied to all coordinates."""
    from deepinit.theory.diffusion import explosion_times

    return float(explosion_times("silu", [z * z], 1.0, 1.0, [z])[0])


def explosion_cases(config: Config) -> list[Case]:
    """Swish networks whose horizon is longer than the life of their limit."""
    horizon, width = BEYOND * explosion_time(EXPLODING), 2 * config.size
    inputs = copied((EXPLODING,), width, f"z = {EXPLODING:g}")
    return [
        Case(
            f"explosion-l{depth}",
            shallow(width, depth, "silu", horizon),
            di.quantities.log_norm,
            inputs,
            max(100, config.num_draws // 10),
            forms=(),
            key=config.key,
        )
        for depth in config.exploding_depths
    ]


def convolution_case(config: Config) -> Case:
    """One-dimensional images, circular, patches of three."""
    law = {"weight_law": di.normal(0.7**2, "depth"), "bias_law": di.normal(0.4**2, "depth")}
    spec = di.ConvResNet(
        (len(IMAGE),), config.channels, config.convolution_depth, kernel_size=3, **law
    )
    inputs = di.inputs.points(
        np.repeat(IMAGE, config.channels)[None], "image (" + ", ".join(map(str, IMAGE)) + ")"
    )
    return Case(
        "convolution",
        spec,
        positions_quantity(spec.positions),
        inputs,
        config.convolution_networks,
        checked=("infinite_width",),
        rejected=(DOUBLE_LIMIT,),
        key=config.key,
    )
