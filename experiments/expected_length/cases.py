"""Config, presets and cases of expected_length."""

import dataclasses
from typing import Any

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.quantities.theory import always, limit, theories
from deepinit.runs.experiment import Case

LENGTH, STRETCH = di.quantities.length_distortion, di.quantities.log_volume

# The sample mean of a raw length is nearly normal up to about this depth / width.
CHECKED_DEPTH_PER_WIDTH = 2.0
BOUNDS = ("first_order", "price_tanner", "raghu")
NARROW_DEPTH, NARROW_OUTPUT = 2, 2
NARROW_NODES = 64  # few nodes add to the variance of the length (a tenth at 16)
LAWS = (
    "constant_bias",
    "truncated_normal",
    "uniform",
    "sparse",
    "orthogonal",
    "leaky_relu",
    "residual",
)
WITHOUT_EXACT_LAW = ("constant_bias", "truncated_normal", "uniform", "sparse")


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of a run. Cases at one width take the middle one of `widths`."""

    widths: tuple[int, ...] = (10, 20, 50)
    """Widths n of networks with n inputs and outputs, on a circle."""
    depth: int = 10
    """Hidden layers of these networks."""
    num_nodes: int = 32
    """Random tangents along a curve."""
    polygon_chords: int = 128
    """Chords of a polygon that measures the circle; 0 for none."""
    unequal: tuple[str, ...] = ("20-8-64-16-40",)
    """Further networks on a circle, as n_0-n_1-...-n_L."""
    image_width: int = 20
    """Width of networks on a line and a circle through MNIST digits; 0 for none."""
    weight_vars: tuple[float, ...] = (4.0,)
    """Variances of hidden weights, times fan_in, in addition to He's 2."""
    bias_stds: tuple[float, ...] = (1.0,)
    """Standard deviations of Gaussian biases, in addition to 0."""
    dimensions: tuple[int, ...] = (2,)
    """Dimensions of the volumes of frames."""
    narrow_widths: tuple[int, ...] = (50,)
    """Hidden widths of networks with two hidden layers and two outputs."""
    deep_width: int = 10
    """Width of the deep and narrow network; 0 for none."""
    deep_depth: int = 100
    """Hidden layers of the deep and narrow network."""
    point_widths: tuple[int, ...] = ()
    """Widths of networks at one tangent, layer factors drawn from their law."""
    laws: tuple[str, ...] = ("constant_bias",)
    """Other laws: constant_bias, truncated_normal, uniform, sparse, orthogonal, leaky_relu,
    residual."""
    law_width: int = 10
    """Width of these networks."""
    law_depth: int = 5
    """Hidden layers, or residual blocks, of these networks."""
    num_seeds: int = 4000
    """Networks per curve; on the circle in proportion more at widths below the largest."""
    num_point_seeds: int = 20_000
    """Networks per case at one point."""
    key: int = 0
    """Root key of the ensembles."""


PRESETS = {
    "smoke": Config(),
    "paper": Config(
        widths=(5, 10, 20, 50),
        depth=50,
        polygon_chords=512,
        unequal=("20-8-64-16-40", "3-8-4-16-2", "30-16-16-16-16-30", "100-50-25-12-25-50-10"),
        weight_vars=(1.0, 2.28, 3.0, 4.0),
        dimensions=(1, 2, 3),
        narrow_widths=(25, 100, 200),
        point_widths=(5, 20, 100, 1000),
        laws=LAWS,
        num_seeds=4000,
    ),
    "full": Config(
        widths=(5, 10, 20, 50, 100),
        depth=50,
        num_nodes=64,
        polygon_chords=1024,
        unequal=("20-8-64-16-40", "3-8-4-16-2", "30-16-16-16-16-30", "100-50-25-12-25-50-10"),
        image_width=50,
        weight_vars=(1.0, 2.28, 3.0, 4.0),
        bias_stds=(0.1, 1.0),
        dimensions=(1, 2, 3),
        narrow_widths=(25, 100, 400),
        deep_depth=1000,
        point_widths=(5, 10, 20, 50, 100, 500, 1000, 10_000),
        laws=LAWS,
        num_seeds=20_000,
        num_point_seeds=100_000,
    ),
}


def cases(config: Config) -> tuple[Case, ...]:
    """Curves by width, shape, weight variance, bias; points, volumes, deep networks, laws."""
    n, wide, depth = middle(config), max(config.widths), config.depth
    square = (*(n,) * (depth + 1), 0)
    moments = moment_layer(config)
    result = [
        curve_case(
            config,
            f"circle-w{width}",
            (width,) * (depth + 2),
            theories=("exact", "second_order", *BOUNDS),
            rejected=(*BOUNDS, "infinite_width"),
            num_seeds=config.num_seeds * wide // width,
            sample_layers=(moments,) if width == wide else (),
        )
        for width in config.widths
    ]
    if config.polygon_chords:
        polygon = di.curves.sampled(di.curves.circle(n), config.polygon_chords, method="polygon")
        biased = {"checked": (), "rejected": ("exact",)}
        result.append(curve_case(config, f"polygon-w{n}", square, inputs=polygon, **biased))
    result += [curve_case(config, f"circle-{text}", layer_widths(text)) for text in config.unequal]
    if config.image_width:
        for name, curve in (
            ("image-line", di.curves.image_line()),
            ("image-circle", di.curves.image_circle()),
        ):
            widths = (curve.dimension, *(config.image_width,) * depth, 0)
            result.append(
                curve_case(config, name, widths, inputs=di.curves.sampled(curve, config.num_nodes))
            )
    for variance in config.weight_vars:
        result.append(
            curve_case(config, f"variance-{variance:g}", square, weight_law=di.normal(variance))
        )
    for std in config.bias_stds:
        result.append(
            curve_case(
                config, f"bias-{std:g}", square, bias_law=di.normal(std**2, scaling="absolute")
            )
        )
    point = di.frames.random(wide).points[0]
    ray = di.curves.sampled(di.curves.line(point, 2.0 * point, "ray from 0"), 1)
    result.append(
        curve_case(
            config,
            f"ray-w{wide}",
            (*(wide,) * (depth + 1), 0),
            inputs=ray,
            num_seeds=config.num_point_seeds,
            sample_layers=(moments,),
        )
    )
    result += [narrow_case(config, width) for width in config.narrow_widths]
    for size in config.dimensions:
        spec, frame = di.MLP(widths=(n,) * depth), di.frames.random(n, size)
        result.append(point_case(config, f"volume-d{size}-w{n}", spec, frame))
    for width in config.point_widths:
        spec = di.MLP(widths=(width,) * depth)
        frame = di.frames.random(width)
        result.append(point_case(config, f"point-w{width}", spec, frame, linear_map="chi_square"))
    if config.deep_width:
        spec, frame = (
            di.MLP(widths=(config.deep_width,) * config.deep_depth),
            di.frames.random(config.deep_width),
        )
        deep = {"linear_map": "chi_square", "sample_layers": (config.deep_depth,)}
        result.append(point_case(config, f"deep-w{config.deep_width}", spec, frame, **deep))
    return (*result, *(law_case(config, name) for name in config.laws))


def middle(config: Config) -> int:
    """The width of cases at one width."""
    if not config.widths:
        raise SpecError("no widths", "one width or more", "Write --config.widths 10 20 50.")
    return sorted(config.widths)[len(config.widths) // 2]


def moment_layer(config: Config) -> int:
    """The last layer at which fourth moments of the widest network can be measured."""
    return max(1, min(config.depth, max(config.widths) // 5))


def curve_case(
    config: Config, name: str, widths: tuple[int, ...], *, inputs=None, num_seeds=0, **options
) -> Case:
    """A ReLU network of widths (n_0, ..., n_L), n_L = 0 without output layer, on a curve."""
    laws = {field: options.pop(field) for field in ("weight_law", "bias_law") if field in options}
    spec = di.MLP(widths=widths[1:-1], output_width=widths[-1] or None, **laws)
    light = spec.depth <= CHECKED_DEPTH_PER_WIDTH * min(spec.widths)
    settings = {
        "theories": ("exact",),
        "checked": ("exact",) if light else (),
        "rejected": ("infinite_width",),
        "key": config.key,
        **options,
    }
    inputs = inputs or di.curves.sampled(di.curves.circle(widths[0]), config.num_nodes)
    return Case(name, spec, LENGTH, inputs, num_seeds or config.num_seeds, **settings)


def narrow_case(config: Config, width: int) -> Case:
    """Two hidden layers and two outputs: the length varies at any hidden width."""
    inputs = di.curves.sampled(di.curves.circle(), NARROW_NODES)
    return curve_case(
        config, f"narrow-w{width}", (2, *(width,) * NARROW_DEPTH, NARROW_OUTPUT), inputs=inputs
    )


def point_case(config: Config, name: str, spec, inputs, **options) -> Case:
    """A network at a frame of one point, measured in logarithms, which are light-tailed."""
    settings = {
        "checked": ("exact",),
        "rejected": ("infinite_width",),
        "key": config.key,
        **options,
    }
    return Case(name, spec, STRETCH, inputs, config.num_point_seeds, ("exact",), **settings)


def law_case(config: Config, name: str) -> Case:
    """Another law at a coordinate direction, where non-Gaussian weights differ."""
    if name not in LAWS:
        raise SpecError(f"the law {name!r}", ", ".join(LAWS), "Check the spelling.")
    n, depth = config.law_width, config.law_depth
    inputs = di.frames.at(
        di.frames.random(n).points[0], np.eye(n)[0], f"a coordinate direction, dimension {n}"
    )
    if name == "residual":
        spec = di.ResNet(width=n, depth=depth)
    elif name == "leaky_relu":
        spec = di.MLP(widths=(n,) * depth, activation=di.leaky_relu(0.3))
    elif name == "constant_bias":
        spec = di.MLP(widths=(n,) * depth, bias_law=di.constant(0.5))
    elif name == "sparse":
        spec = di.MLP(widths=(n,) * depth, weight_law=di.sparse(2.0, density=0.5))
    else:
        spec = di.MLP(widths=(n,) * depth, weight_law=getattr(di, name)(2.0))
    without = name in WITHOUT_EXACT_LAW
    return Case(
        name.replace("_", "-"),
        spec,
        ignoring_biases(STRETCH) if name == "constant_bias" else STRETCH,
        inputs,
        config.num_point_seeds,
        ("idealized",) if without else ("exact",),
        checked=() if without else ("exact",),
        rejected=("idealized",) if without else ("infinite_width",),
        linear_map="explicit",
        key=config.key,
    )


def ignoring_biases(quantity: di.Quantity) -> di.Quantity:
    """The quantity with the predictions of the network without biases."""
    without = lambda spec: dataclasses.replace(spec, bias_law=None)
    exact, infinite = quantity.theory("exact"), quantity.theory("infinite_width")

    def predict(spec: Any, inputs: Any, name: str) -> Any:
        found = exact.predict(without(spec), inputs)
        return dataclasses.replace(found, name=name, error_order="O(1): no biases")

    limits = limit(lambda spec, inputs: infinite.predict(without(spec), inputs))
    return quantity._replace(theories=(*theories(("idealized",), always, predict), limits))


def layer_widths(text: str) -> tuple[int, ...]:
    """`20-8-64-16-40` as (n_0, ..., n_L)."""
    parts = text.split("-")
    if len(parts) < 3 or not all(part.isdigit() for part in parts):
        raise SpecError(
            f"the widths {text!r}",
            "three integers or more joined by '-': inputs, hidden layers, outputs",
            "Write --config.unequal 20-8-64-16-40.",
        )
    return tuple(int(part) for part in parts)
