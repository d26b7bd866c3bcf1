"""Cases of resnet_diffusion."""

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.plots.functions import MAX_FUNCTIONS
from deepinit.runs.experiment import Case

from .analysis import DOUBLE_LIMIT, DRAW, EXACT, KERNELS, MOMENTS, PREACTIVATION, positions_quantity
from .config import Config

UNIT = di.normal(1.0, "depth")
EDGE_OF_CHAOS = {"tanh": (1.3041**2, 0.2**2), "relu": (2.0, 0.0)}
IMAGE = (1.0, 0.2, -0.5, 0.3, 0.8, -0.1)
SMALL = 0.05  # an input at which tanh is nearly linear
BEYOND = 1.2  # horizon over explosion time
EXPLODING = 2.0  # z of the input that explodes


def cases(config: Config) -> tuple[Case, ...]:
    """Moments, random functions, kernels by width and depth, gradients, explosions, convolution."""
    return (
        *moment_cases(config),
        *function_cases(config),
        *kernel_cases(config),
        *gradient_cases(config),
        *explosion_cases(config),
        convolution_case(config),
    )


def copied(values: tuple[float, ...], width: int, label: str) -> Inputs:
    """Inputs with equal coordinates."""
    return di.inputs.points(np.outer(values, np.ones(width)), label)


def shallow(width: int, depth: int, activation: str = "tanh", horizon: float = 1.0) -> di.ResNet:
    """Shallow blocks, sigma_w^2 = sigma_b^2 = horizon in total."""
    law = di.normal(horizon, "depth")
    return di.ResNet(
        width, depth, block="shallow", activation=activation, weight_law=law, bias_law=law
    )


def numbers(config: Config) -> np.ndarray:
    """Inputs z of the random functions."""
    return np.linspace(-2.0, 2.0, config.num_inputs)


def function_cases(config: Config) -> list[Case]:
    """Random functions of z: feed-forward networks at the edge of chaos, residual networks."""
    size, last = config.size, (config.size,)
    inputs, result = copied(tuple(numbers(config)), size, "z in [-2, 2]"), []
    for activation, (weight_var, bias_var) in EDGE_OF_CHAOS.items():
        bias_law = di.normal(bias_var, "absolute") if bias_var else None
        spec = di.MLP((size,) * size, activation, di.normal(weight_var), bias_law)
        name = f"functions-mlp-{activation}"
        stored = {"sample_layers": last, "key": config.key}
        result.append(Case(name, spec, PREACTIVATION, inputs, config.num_draws, **stored))
    sizes = {
        drawn_name(config, width, depth): (width, depth)
        for width, depth in ((size, size), *drawn_sizes(config))
    }
    for activation in ("tanh", "silu"):
        for name, (width, depth) in sizes.items():
            # if phi'' != 0 the mean has a bias of order 1 / width
            checked = ("infinite_width",) if activation == "tanh" or width == size else ()
            result.append(
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
    return result


def drawn_sizes(config: Config) -> list[tuple[int, int]]:
    """Widths and depths of residual networks in one figure; SpecError for too many pairs."""
    sizes = [(width, depth) for depth in config.drawn_depths for width in config.drawn_widths]
    if len(sizes) > MAX_FUNCTIONS:
        widths, depths = len(config.drawn_widths), len(config.drawn_depths)
        given = f"{widths} widths by {depths} depths of random functions"
        remedy = "Take fewer --config.drawn-widths or --config.drawn-depths."
        raise SpecError(given, f"{MAX_FUNCTIONS} pairs, the panels of a figure", remedy)
    return sizes


def drawn_name(config: Config, width: int, depth: int) -> str:
    """The name of a case without its activation."""
    return (
        "functions-resnet"
        if width == depth == config.size
        else f"functions-resnet-w{width}-l{depth}"
    )


def moment_cases(config: Config) -> list[Case]:
    """x_T at z = 0 and 1: one coordinate, and means over coordinates."""
    spec, inputs = shallow(config.size, config.size), copied((0.0, 1.0), config.size, "z = 0, 1")
    law: dict = {"checked": ("infinite_width",), "key": config.key}
    return [
        Case("moments", spec, MOMENTS, inputs, config.num_draws, **law),
        Case(
            "overlaps", spec, di.quantities.nngp, inputs, config.num_draws, rejected=(EXACT,), **law
        ),
    ]


def kernel_cases(config: Config) -> list[Case]:
    """Kernels at z = 1, 2 by width and depth; linear networks, with means exact at every width."""
    sizes = [(f"table-w{w}-l{d}", w, d) for w in config.table_widths for d in config.table_depths]
    sizes += [(f"square-{size}", size, size) for size in config.squares]
    sizes += [(f"square-w{w}-l{d}", w, d) for w, d in crossed_sizes(config)]
    result = []
    for name, width, depth in sizes:
        inputs = copied((1.0, 2.0), width, "z = 1, 2")
        networks = config.table_networks if name.startswith("table") else config.square_networks
        # narrow tanh networks of few layers differ by O(1 / (width depth)) from infinite width
        checked = ("infinite_width",) if width >= 32 else ()
        rejected = (EXACT,) if depth <= 64 else ()
        law = {"checked": checked, "rejected": rejected, "key": config.key}
        result.append(Case(name, shallow(width, depth), KERNELS, inputs, networks, **law))
    width, inputs = config.table_widths[0], copied((1.0, 2.0), config.table_widths[0], "z = 1, 2")
    for depth in sorted(set(config.linear_depths)):
        spec, networks = shallow(width, depth, "linear"), 4 * config.table_networks
        rejected = (EXACT,) if depth <= 16 else ()
        linear = {"checked": ("infinite_width",), "rejected": rejected, "key": config.key}
        result.append(Case(f"linear-w{width}-l{depth}", spec, KERNELS, inputs, networks, **linear))
    return result


def crossed_sizes(config: Config) -> list[tuple[int, int]]:
    """(width, depth) of the networks that are not square."""
    return sorted((a, b) for a in config.crossed for b in config.crossed if a != b)


def gradient_cases(config: Config) -> list[Case]:
    """Gradients by layer and the determinant of the Jacobian, at a small input."""
    width = config.gradient_width
    spec = di.ResNet(width, config.gradient_depth, block="shallow")
    inputs = copied((SMALL,), width, f"z = {SMALL:g}")
    frame = di.frames.at(SMALL * np.ones((1, width)), np.eye(width)[None])
    law: dict = {"checked": (EXACT,), "key": config.key}
    networks, gradient = config.gradient_networks, di.quantities.log_gradient_norm
    return [
        Case("gradients", spec, gradient, inputs, networks, **law),
        Case("determinant", spec, di.quantities.log_volume, frame, networks, **law),
    ]


def explosion_time(z: float) -> float:
    """Explosion time of swish networks, unit variances, all coordinates z."""
    from deepinit.theory.diffusion import explosion_times

    return float(explosion_times("silu", [z * z], 1.0, 1.0, [z])[0])


def explosion_cases(config: Config) -> list[Case]:
    """Swish networks beyond the explosion time of their limit."""
    horizon, width = BEYOND * explosion_time(EXPLODING), 2 * config.size
    inputs = copied((EXPLODING,), width, f"z = {EXPLODING:g}")
    return [
        Case(
            f"explosion-l{depth}",
            shallow(width, depth, "silu", horizon),
            di.quantities.log_norm,
            inputs,
            max(100, config.num_draws // 10),
            theories=(),
            key=config.key,
        )
        for depth in config.exploding_depths
    ]


def convolution_case(config: Config) -> Case:
    """One-dimensional circular images, patches of three."""
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
