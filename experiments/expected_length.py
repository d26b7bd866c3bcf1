"""Expected length of curves through random ReLU networks: Hanin, Jeong & Rolnick 2022 (arXiv 2102.10492), measured exactly.

deepinit run experiments/expected_length.py --preset smoke     about a minute on two cores
deepinit run experiments/expected_length.py --preset paper     depth 50, more widths, variances, volumes, laws
deepinit run experiments/expected_length.py --preset full      more networks, wider ones, deeper ones
"""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

import deepinit as di
from deepinit.core.errors import SpecError, refusal
from deepinit.experiment import Case, CaseResult, Experiment

LENGTH, STRETCH = di.quantities.length_distortion, di.quantities.log_volume

# The sample mean of a raw length obeys the central limit theorem up to about this depth / width; deeper, its logarithm is judged.
CHECKED_DEPTH_PER_WIDTH = 2.0
BOUNDS = ("first_order", "price_tanner", "raghu")
NARROW_DEPTH, NARROW_OUTPUT = 2, 2
NARROW_NODES = 64  # few nodes add to the variance of the length (a tenth at 16)
LAWS = ("constant_bias", "truncated_normal", "uniform", "sparse", "orthogonal", "leaky_relu", "residual")
WITHOUT_EXACT_LAW = ("constant_bias", "truncated_normal", "uniform", "sparse")


@dataclasses.dataclass(frozen=True)
class Config:
    """What to measure. The middle one of `widths` stands for all where one width is enough."""

    widths: tuple[int, ...] = (10, 20, 50)
    """Widths n of networks with n inputs and n outputs that see a circle."""
    depth: int = 10
    """Hidden layers of these."""
    num_nodes: int = 32
    """Random tangents along a curve."""
    polygon_chords: int = 128
    """Chords of the polygon that measures the same circle; 0 for none."""
    unequal: tuple[str, ...] = ("20-8-64-16-40",)
    """Further networks that see a circle, as n_0-n_1-...-n_L."""
    image_width: int = 20
    """Width of the networks that see a line and a circle through MNIST digits; 0 for none."""
    weight_vars: tuple[float, ...] = (4.0,)
    """Variances of hidden weights, times fan_in, besides He's 2."""
    bias_stds: tuple[float, ...] = (1.0,)
    """Standard deviations of Gaussian biases, besides none."""
    dimensions: tuple[int, ...] = (2,)
    """Dimensions of the volumes of frames."""
    narrow_widths: tuple[int, ...] = (50,)
    """Hidden widths of networks with two hidden layers and two outputs, for the variance of the length."""
    deep_width: int = 10
    """Width of the network that is deep and narrow; 0 for none."""
    deep_depth: int = 100
    """Its hidden layers."""
    point_widths: tuple[int, ...] = ()
    """Widths of networks that see one tangent, layer factors drawn from their law."""
    laws: tuple[str, ...] = ("constant_bias",)
    """Where the exact law ends, or takes another form: of constant_bias, truncated_normal, uniform, sparse, orthogonal, leaky_relu, residual."""
    law_width: int = 10
    """Width of these networks."""
    law_depth: int = 5
    """Their hidden layers, or residual blocks."""
    num_seeds: int = 4000
    """Networks per case that measures a curve; of the circle at a width below the largest in proportion more, as it varies more."""
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
    """Curves at several widths, shapes, weight variances and biases; points, volumes, deep networks and other laws."""
    n, wide, depth = middle(config), max(config.widths), config.depth
    square = (*(n,) * (depth + 1), 0)
    moments = moment_layer(config)
    result = [
        curve_case(
            config,
            f"circle-w{width}",
            (width,) * (depth + 2),
            forms=("exact", "second_order", *BOUNDS),
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
        for name, curve in (("image-line", di.curves.image_line()), ("image-circle", di.curves.image_circle())):
            widths = (curve.dimension, *(config.image_width,) * depth, 0)
            result.append(curve_case(config, name, widths, inputs=di.curves.sampled(curve, config.num_nodes)))
    for variance in config.weight_vars:
        result.append(curve_case(config, f"variance-{variance:g}", square, weight_law=di.normal(variance)))
    for std in config.bias_stds:
        result.append(curve_case(config, f"bias-{std:g}", square, bias_law=di.normal(std**2, scaling="absolute")))
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
        spec, frame = di.MLP(widths=(config.deep_width,) * config.deep_depth), di.frames.random(config.deep_width)
        deep = {"linear_map": "chi_square", "sample_layers": (config.deep_depth,)}
        result.append(point_case(config, f"deep-w{config.deep_width}", spec, frame, **deep))
    return (*result, *(law_case(config, name) for name in config.laws))


def middle(config: Config) -> int:
    """The width that stands for all."""
    if not config.widths:
        raise SpecError(refusal("no widths", "one width or more", "Write --config.widths 10 20 50."))
    return sorted(config.widths)[len(config.widths) // 2]


def moment_layer(config: Config) -> int:
    """The layer where fourth moments of the widest network can still be measured."""
    return max(1, min(config.depth, max(config.widths) // 5))


def curve_case(config: Config, name: str, widths: tuple[int, ...], *, inputs=None, num_seeds=0, **options) -> Case:
    """A ReLU network of widths (n_0, ..., n_L), n_L = 0 for no output layer, that sees a curve, the circle if no other is given."""
    laws = {field: options.pop(field) for field in ("weight_law", "bias_law") if field in options}
    spec = di.MLP(widths=widths[1:-1], output_width=widths[-1] or None, **laws)
    light = spec.depth <= CHECKED_DEPTH_PER_WIDTH * min(spec.widths)
    settings = {
        "forms": ("exact",),
        "checked": ("exact",) if light else (),
        "rejected": ("infinite_width",),
        "key": config.key,
        **options,
    }
    inputs = inputs or di.curves.sampled(di.curves.circle(widths[0]), config.num_nodes)
    return Case(name, spec, LENGTH, inputs, num_seeds or config.num_seeds, **settings)


def narrow_case(config: Config, width: int) -> Case:
    """Two hidden layers and two outputs, whose length varies however wide the hidden layers are."""
    inputs = di.curves.sampled(di.curves.circle(), NARROW_NODES)
    return curve_case(config, f"narrow-w{width}", (2, *(width,) * NARROW_DEPTH, NARROW_OUTPUT), inputs=inputs)


def point_case(config: Config, name: str, spec, inputs, **options) -> Case:
    """A network that sees a frame at one point, in the logarithm, where every depth is light-tailed."""
    settings = {"checked": ("exact",), "rejected": ("infinite_width",), "key": config.key, **options}
    return Case(name, spec, STRETCH, inputs, config.num_point_seeds, ("exact",), **settings)


def law_case(config: Config, name: str) -> Case:
    """Real weights of another law, at a coordinate direction, where weights that are not Gaussian show."""
    if name not in LAWS:
        raise SpecError(refusal(f"the law {name!r}", ", ".join(LAWS), "Check the spelling."))
    n, depth = config.law_width, config.law_depth
    inputs = di.frames.at(di.frames.random(n).points[0], np.eye(n)[0], f"a coordinate direction, dimension {n}")
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
    """A quantity whose predictions are those of the network without its biases, which is all there is for constant ones."""
    without = lambda spec: dataclasses.replace(spec, bias_law=None)
    exact = lambda spec, inputs, form: quantity.predict(without(spec), inputs, "exact")
    return quantity._replace(
        forms=lambda spec: ("idealized",),
        predict=lambda *given: dataclasses.replace(exact(*given), name="idealized", error_order="O(1): no biases"),
        infinite=lambda spec, inputs: quantity.infinite(without(spec), inputs),
    )


def layer_widths(text: str) -> tuple[int, ...]:
    """`20-8-64-16-40` as (n_0, ..., n_L)."""
    parts = text.split("-")
    if len(parts) < 3 or not all(part.isdigit() for part in parts):
        raise SpecError(
            refusal(
                f"the widths {text!r}",
                "three integers or more joined by '-': inputs, hidden layers, outputs",
                "Write --config.unequal 20-8-64-16-40.",
            )
        )
    return tuple(int(part) for part in parts)


def all_widths(case: Case) -> tuple[int, ...]:
    """(n_0, ..., n_L) of a case."""
    output = () if case.spec.output_width is None else (case.spec.output_width,)
    return (case.inputs.dimension, *case.spec.widths, *output)


@dataclasses.dataclass(frozen=True, eq=False)
class Layers:
    """What was measured of a case layer by layer, hidden layers and then the output.

    Attributes:
        mean, error: over networks, with its standard error.
        spread, spread_error: variance / mean^2, with its standard error.
    """

    mean: np.ndarray
    error: np.ndarray
    spread: np.ndarray
    spread_error: np.ndarray


def measured(result: CaseResult) -> Layers:
    """The first entry of a case."""
    data = result.dataset.isel(pair=0)
    mean, error, variance, variance_error = (
        data[name].values for name in ("mean", "standard_error", "variance", "variance_standard_error")
    )
    return Layers(mean, error, variance / mean**2, variance_error / mean**2)


def predicted(result: CaseResult, route: str = "exact") -> np.ndarray:
    """One route's means [layers] of the first entry of a case."""
    return result.dataset["predicted"].sel(route=route).isel(pair=0).values


def largest_z(result: CaseResult, route: str) -> float:
    """The largest |z| of a route."""
    return float(np.nanmax(np.abs(result.dataset["z"].sel(route=route).values)))


def he_curves(results: Mapping[str, CaseResult]) -> dict[str, CaseResult]:
    """The cases of curves whose hidden layers all have He's variance, measured by tangents."""
    return {
        name: result
        for name, result in results.items()
        if result.case.quantity is LENGTH and not name.startswith(("polygon", "variance", "narrow", "ray"))
    }


def remarks(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """What the run says, question by question."""
    sentences = [
        *depth_words(config, results),
        *width_words(config, results),
        *variance_words(config, results),
        moment_words(config, results),
        *volume_words(config, results),
        *bias_words(config, results),
        *spread_words(config, results),
        *deep_words(config, results),
        *law_words(config, results),
    ]
    return sentences


def depth_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Mean length against depth, exact and by older bounds; polygons."""
    n, depth = middle(config), config.depth
    main = results[f"circle-w{n}"]
    layers, routes = measured(main), {route: predicted(main, route)[depth - 1] for route in ("exact", *BOUNDS)}
    held = "in agreement with" if largest_z(main, "exact") < 5 else "REJECTING"
    sentences = [
        f"Expected length does not grow: after {depth} layers of width {n} a circle keeps "
        f"{layers.mean[depth - 1]:.4f} +- {layers.error[depth - 1]:.4f} of its length on average, {held} the exact "
        f"{routes['exact']:.4f} (all layers: |z| <= {largest_z(main, 'exact'):.1f}); the first-order exponential "
        f"exp(-5/8 sum 1/n) says {routes['first_order']:.4f}, the lower bound of Price & Tanner {routes['price_tanner']:.2g}, the "
        f"growth rate of Raghu et al. {routes['raghu']:.3g}, infinite width 1."
    ]
    polygon = results.get(f"polygon-w{n}")
    if polygon is not None:
        deficit = 1.0 - measured(polygon).mean[depth - 1] / predicted(polygon)[depth - 1]
        error = measured(polygon).error[depth - 1] / predicted(polygon)[depth - 1]
        sentences.append(
            f"The polygon through {config.polygon_chords + 1} images, as trajectory lengths are usually measured, is short by "
            f"{100 * deficit:.1f} +- {100 * error:.1f} % after {depth} layers; 2 depth / (3 chords) says "
            f"{200 * depth / (3 * config.polygon_chords):.1f} % for fine polygons. Random tangents have no such bias."
        )
    return sentences


def width_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """First order against exact by width; unequal widths and inputs on one line."""
    sentences = []
    narrow = results[f"circle-w{min(config.widths)}"]
    gap = predicted(narrow, "first_order")[config.depth - 1] / predicted(narrow)[config.depth - 1] - 1.0
    judged = "rejected" if largest_z(narrow, "first_order") >= 5 else "not rejected by this many networks"
    sentences.append(
        f"At width {min(config.widths)} and depth {config.depth} the first-order exponential is {100 * gap:.1f} % above the exact mean "
        f"and {judged} (|z| <= {largest_z(narrow, 'first_order'):.1f}): the next term is -3/8 sum 1/n^2."
    )
    shapes = [name for name in he_curves(results) if name.startswith("circle-") and "-w" not in name]
    shapes += [name for name in ("image-line", "image-circle") if name in results]
    if shapes:
        worst = max(largest_z(results[name], "exact") for name in shapes)
        unit = "one exact formula covers" if worst < 5 else "the exact formula FAILS for"
        sentences.append(
            f"Divided by sqrt(n_l / n_0), {unit} unequal widths and other input widths, real images included "
            f"({', '.join(shapes)}; |z| <= {worst:.1f}): the mean depends on sum 1/n_l alone, to first order."
        )
    if len(config.point_widths) > 1:
        z = [largest_z(results[f"point-w{width}"], "infinite_width") for width in config.point_widths]
        seen = [width for width, value in zip(config.point_widths, z, strict=True) if value >= 5]
        sentences.append(
            f"Infinite width is rejected at {config.depth} layers for the widths {', '.join(map(str, seen)) or 'none'} "
            f"of {', '.join(map(str, config.point_widths))}."
        )
    return sentences


def variance_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Growth and decay by the variance of the weights."""
    from deepinit.theory.lengths import growth_threshold

    if not config.weight_vars:
        return []
    n, depth = middle(config), config.depth
    parts = []
    for variance in config.weight_vars:
        result = results[f"variance-{variance:g}"]
        parts.append(
            f"{variance:g} gives {measured(result).mean[depth - 1]:.4g} (exact {predicted(result)[depth - 1]:.4g})"
        )
    return [
        f"Length grows exponentially only above the weight variance {growth_threshold(n):.4f} at width {n} (2 at infinite "
        f"width, He's value): after {depth} layers {', '.join(parts)}."
    ]


def moment_words(config: Config, results: Mapping[str, CaseResult]) -> str:
    """Moments of the length of a ray, which attain the bound, and of a circle, which do not."""
    n = max(config.widths)
    table = moment_table(config, results)
    parts = [
        f"m = {m}: ray {ray:.3g}, circle {circle:.3g}, exact at a point {bound:.3g}"
        for m, ray, circle, bound in zip(
            table["m"][1:],
            table["ray"][0][1:],
            table["circle"][0][1:],
            table["bound"][1:],
            strict=True,
        )
    ]
    return (
        f"Moments E length^m at layer {moment_layer(config)} of width {n}: {'; '.join(parts)}. The moments at a point bound those of every "
        "curve; a ray attains the bound, a circle stays near the lower bound (E length)^m."
    )


def moment_table(config: Config, results: Mapping[str, CaseResult]) -> dict:
    """Moments m = 1 to 4: `ray` and `circle` measured (values, errors), `bound` exact at a point, `least` by Jensen."""
    from deepinit.theory.lengths import length_moment

    n, orders = max(config.widths), (1, 2, 3, 4)
    widths = (n,) * (moment_layer(config) + 1)
    bound = np.array([length_moment(widths, m, output=None) for m in orders])
    table = {"m": np.array(orders), "bound": bound, "least": bound[0] ** np.array(orders)}
    for name in ("ray", "circle"):
        lengths = np.asarray(results[f"{name}-w{n}"].estimate.samples[:, 0, 0], np.float64)
        powers = np.array([lengths**m for m in orders])
        table[name] = powers.mean(axis=1), powers.std(axis=1, ddof=1) / math.sqrt(powers.shape[1])
    return table


def volume_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Areas and volumes shrink faster than lengths; mean and variance of the logarithm are exact."""
    from deepinit.theory.lengths import volume_moment

    if not config.dimensions:
        return []
    n, depth, parts, worst = middle(config), config.depth, [], 0.0
    for size in config.dimensions:
        result = results[f"volume-d{size}-w{n}"]
        worst = max(worst, float(np.nanmax(np.abs(result.dataset["variance_z"].sel(route="exact").values))))
        mean = volume_moment((n,) * (depth + 1), size, output=None)
        parts.append(f"d = {size}: {measured(result).mean[depth - 1]:.3f} (mean volume {mean:.3g})")
    return [
        f"Volumes of dimension d shrink faster, to first order like exp(-d(3d+2)/8 sum 1/n): ln of the stretch after {depth} "
        f"layers of width {n} is on average {', '.join(parts)}; its variance over networks agrees with the exact one too (|z| <= {worst:.1f})."
    ]


def bias_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Biases leave the mean alone and change the spread."""
    n, depth, sentences = middle(config), config.depth, []
    without = measured(results[f"circle-w{n}"])
    for std in config.bias_stds:
        result = results[f"bias-{std:g}"]
        layers = measured(result)
        with_sd, plain_sd = math.sqrt(layers.spread[depth - 1]), math.sqrt(without.spread[depth - 1])
        sentences.append(
            f"Gaussian biases of standard deviation {std:g} leave the mean length of the circle at {layers.mean[depth - 1]:.4f} +- "
            f"{layers.error[depth - 1]:.4f} (without {without.mean[depth - 1]:.4f} +- {without.error[depth - 1]:.4f}), but its "
            f"standard deviation over networks is {100 * with_sd:.0f} % of it instead of {100 * plain_sd:.0f} %."
        )
    return sentences


def spread_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Variance of the length of a circle: hidden layers, and few outputs of wide layers."""
    from deepinit.theory.lengths import circle_relative_variance

    n, depth = max(config.widths), config.depth
    layers = measured(results[f"circle-w{n}"])
    first = (
        f"Averaging over the circle removes most of the variance: width times Var/mean^2 of its length is "
        f"{n * layers.spread[0]:.3f} +- {n * layers.spread_error[0]:.3f} after 1 layer and {n * layers.spread[depth - 1]:.2f} +- "
        f"{n * layers.spread_error[depth - 1]:.2f} after {depth} of width {n} (limits {circle_relative_variance(1):.3f} and "
        f"{circle_relative_variance(depth):.2f}; one tangent squared: {1.25:g} and {1.25 * depth:g})."
    )
    sentences = [first]
    for width in config.narrow_widths:
        result = results[f"narrow-w{width}"]
        spread, limit = measured(result), limit_spread(result)
        sentences.append(
            f"With {NARROW_OUTPUT} outputs the variance survives infinite width: Var/mean^2 {spread.spread[-1]:.4f} +- "
            f"{spread.spread_error[-1]:.4f} at hidden width {width}, {limit:.4f} from the velocity kernel at infinite width, "
            f"{limit + circle_relative_variance(NARROW_DEPTH) / width:.4f} with the variance of the hidden length itself; the rest, of order 1/width too, is the fluctuation of the kernel."
        )
    return sentences


def limit_spread(result: CaseResult) -> float:
    """Var/mean^2 of the output's length at infinite width."""
    limit = result.dataset.sel(route="infinite_width").isel(pair=0, layer=-1)
    return float(limit["predicted_variance"] / limit["predicted"] ** 2)


def deep_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Deep and narrow: mean, first order, and the typical network."""
    from deepinit.theory.lengths import length_moment

    if not config.deep_width:
        return []
    n, depth = config.deep_width, config.deep_depth
    result = results[f"deep-w{n}"]
    mean = length_moment((n,) * (depth + 1), output=None)
    log_mean = float(result.dataset["mean"].isel(layer=-1, pair=0))
    return [
        f"Preserved is the mean at depth / width below 1: at width {n} and depth {depth} the exact mean length is {mean:.3g} (first order "
        f"{math.exp(-0.625 * depth / n):.3g}), and a typical network, exp of the mean logarithm, keeps {math.exp(log_mean):.2g}: "
        f"the distribution is log-normal-like, KS distance to the exact one {deep_distance(result):.4f}."
    ]


def deep_distribution(result: CaseResult):
    """(samples of ln |Ju|, sorted; the exact distribution function of ln |Ju| given that it is finite)."""
    from deepinit.theory.lengths import length_cdf

    values = result.estimate.samples[:, 0, 0]
    widths = all_widths(result.case)
    dead = float(length_cdf(0.0, widths, output=None))
    cdf = lambda y: (length_cdf(np.exp(y), widths, output=None) - dead) / (1.0 - dead)
    return np.sort(np.asarray(values[np.isfinite(values)], np.float64)), cdf


def deep_distance(result: CaseResult) -> float:
    """The Kolmogorov-Smirnov distance of the samples to the exact distribution."""
    values, cdf = deep_distribution(result)
    grid = np.linspace(values[0], values[-1], 400)
    exact = np.interp(values, grid, cdf(grid))
    steps = np.arange(len(values) + 1) / len(values)
    return float(np.max(np.maximum(np.abs(exact - steps[1:]), np.abs(exact - steps[:-1]))))


def law_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Where the exact law holds in another form, and where it ends."""
    exact, broken = [], []
    for name in config.laws:
        result = results[name.replace("_", "-")]
        route = "idealized" if name in WITHOUT_EXACT_LAW else "exact"
        mean, error, value = measured(result).mean[-1], measured(result).error[-1], predicted(result, route)[-1]
        text = f"{name.replace('_', ' ')} {mean:.3f} +- {error:.3f} against {value:.3f} (|z| <= {largest_z(result, route):.1f})"
        (broken if name in WITHOUT_EXACT_LAW else exact).append(text)
    sentences = []
    if exact:
        sentences.append(f"Mean ln |J u| after {config.law_depth} layers, exact for {'; '.join(exact)}.")
    if broken:
        sentences.append(
            f"No exact law, measured against Gaussian weights of the same variance without biases: {'; '.join(broken)}. "
            "A constant bias switches units on and lengthens curves; weights that are not Gaussian change the first layer, where the tangent is a "
            "coordinate direction."
        )
    return sentences


def figures(config: Config, results: Mapping[str, CaseResult]) -> list:
    """Figures of the report, in reading order."""
    n = middle(config)
    main = results[f"circle-w{n}"]
    items = [bounds_figure(config, results)]
    items += several_widths(config, results)
    items.append(
        item(
            "Which theory holds",
            "Distance of every prediction from the measured mean, in standard errors; outside the gate it is rejected.",
            di.plots.residuals(main.dataset, title="Distance of every prediction from the measurement"),
        )
    )
    items.append(collapse(results))
    if config.weight_vars:
        items.append(growth(config, results))
    items.append(moments(config, results))
    if config.dimensions:
        items.append(volumes(config, results))
    if config.bias_stds:
        items.append(biases(config, results))
    items.append(spreads(config, results))
    if config.deep_width:
        items.append(deep_histogram(config, results))
    if config.laws:
        items.append(laws(config, results))
    if config.image_width:
        items.append(images(results))
    checks = {name: result.dataset for name, result in results.items()}
    items.append(
        item(
            "Every comparison with the exact law",
            "One dot a layer. Idealized: where no exact law is known, the one of Gaussian weights without biases. "
            "Polygons are biased low.",
            di.plots.z_panel(checks, routes=("exact", "idealized")),
        )
    )
    return items


def item(title: str, caption: str, drawing):
    """A figure of the report."""
    from deepinit.report import figure_item

    return figure_item(title, caption, drawing)


def bounds_figure(config: Config, results: Mapping[str, CaseResult]):
    """Everything that has been said of the mean length, against the measurement, on a logarithmic axis."""
    n, depth = middle(config), config.depth
    main, polygon = results[f"circle-w{n}"], results.get(f"polygon-w{n}")
    layer = np.arange(1, depth + 1)
    points = {"measured by random tangents": (layer, measured(main).mean[:depth], measured(main).error[:depth])}
    if polygon is not None:
        points["measured by polygon"] = (layer, measured(polygon).mean[:depth], measured(polygon).error[:depth])
    names = {"exact": "exact", "first_order": "first_order", "infinite_width": "infinite_width"}
    names |= {"price_tanner": "Price & Tanner (lower bound)", "raghu": "Raghu et al. (growth rate)"}
    drawing = di.plots.series(
        points,
        {label: (layer, predicted(main, route)[:depth]) for route, label in names.items()},
        x_label=r"hidden layer $\ell$",
        y_label=f"mean of {LENGTH.symbol}",
        log_y=True,
        title="Mean length of a circle: exact, first order, and what earlier bounds allow",
        note=f"width {n}, {main.estimate.num_seeds:,} networks",
    )
    caption = (
        "The measured mean follows the exact product of layer factors. The lower bound of Price & Tanner falls like pi^(-depth/2), "
        "the growth rate of Raghu et al. (its constant per layer taken as 1) rises exponentially, which is not what happens at He's variance."
    )
    return item("Length against depth, and the older bounds", caption, drawing)


def several_widths(config: Config, results: Mapping[str, CaseResult]) -> list:
    """Mean length against depth at every width, and the error of each prediction against width."""
    by_width = {
        width: (
            results[f"circle-w{width}"]
            .dataset.sel(route=["exact", "infinite_width"])
            .isel(layer=slice(-1))
            .assign_attrs(label="circle"),
        )
        for width in config.widths
    }
    items = [
        item(
            "Length against depth at several widths",
            "Lines are the exact means; narrow networks lose length faster, like exp(-5/8 depth/width).",
            di.plots.by_width(by_width, title="Mean length of a circle, layer by layer"),
        )
    ]
    if len(config.widths) > 2:
        routes = ("exact", "second_order", "first_order", "infinite_width")
        drawn = [results[f"circle-w{width}"] for width in config.widths]
        items.append(bias_by_width(config, config.widths, drawn, routes, LENGTH.symbol))
    if len(config.point_widths) > 2:
        drawn = [results[f"point-w{width}"] for width in config.point_widths]
        routes = ("exact", "infinite_width")
        items.append(bias_by_width(config, config.point_widths, drawn, routes, STRETCH.symbol))
    return items


def bias_by_width(config: Config, widths, drawn: list[CaseResult], routes, symbol: str):
    """|predicted - measured| against width at the last hidden layer."""
    last = [(measured(result).mean[config.depth - 1], measured(result).error[config.depth - 1]) for result in drawn]
    drawing = di.plots.widths(
        widths,
        [mean for mean, _ in last],
        [error for _, error in last],
        {route: [predicted(result, route)[config.depth - 1] for result in drawn] for route in routes},
        label=symbol,
        note=f"layer {config.depth}",
    )
    caption = "How far each prediction is from the measured mean; inside the grey band nothing can be resolved."
    what = "a curve" if drawn[0].case.quantity is LENGTH else "one tangent"
    return item(f"Error of every prediction against width, {what}", caption, drawing)


def collapse(results: Mapping[str, CaseResult]):
    """Every hidden layer of every He network on one line."""
    points, reach = {}, 0.0
    for name, result in he_curves(results).items():
        widths, layers = np.array(all_widths(result.case)), measured(result)
        depth = result.case.spec.depth
        place = np.cumsum(1.0 / widths[1 : depth + 1])
        scale = np.sqrt(widths[1 : depth + 1] / widths[0])
        points[name] = (place, layers.mean[:depth] / scale, layers.error[:depth] / scale)
        reach = max(reach, float(place[-1]))
    x = np.linspace(0.0, reach, 100)
    drawing = di.plots.series(
        points,
        {"first order: exp(-5/8 sum 1/n)": (x, np.exp(-0.625 * x))},
        x_label=r"$\sum_{k \leq \ell} 1/n_k$",
        y_label=r"mean length distortion / $\sqrt{n_\ell / n_0}$",
        log_y=True,
        title="All architectures on one line, with widths divided out",
        note="every hidden layer of every network with He's variance; any curve, with or without biases",
    )
    caption = (
        "Widths, input widths, curves, biases and real images do not matter beyond the sum of 1/width; narrow "
        "layers lie below the line by the next order, -3/8 sum 1/n^2."
    )
    return item("Unequal widths collapse", caption, drawing)


def growth(config: Config, results: Mapping[str, CaseResult]):
    """Mean length against depth for several weight variances."""
    n, depth = middle(config), config.depth
    chosen = {2.0: results[f"circle-w{n}"], **{value: results[f"variance-{value:g}"] for value in config.weight_vars}}
    layer, points, lines = np.arange(1, depth + 1), {}, {}
    for value in sorted(chosen):
        name = f"weight variance {value:g}" + (" (He)" if value == 2.0 else "")
        points[name] = (layer, measured(chosen[value]).mean[:depth], measured(chosen[value]).error[:depth])
        lines[name] = (layer, predicted(chosen[value])[:depth])
    from deepinit.theory.lengths import growth_threshold

    drawing = di.plots.series(
        points,
        lines,
        x_label=r"hidden layer $\ell$",
        y_label=f"mean of {LENGTH.symbol}",
        log_y=True,
        title=f"Length grows only above the weight variance {growth_threshold(n):.3f}",
        note=f"circle, width {n}",
    )
    caption = "Weight variances are times fan_in. Growth needs more than He's 2, by 5/(2n) to first order."
    return item("Growth by weight variance", caption, drawing)


def moments(config: Config, results: Mapping[str, CaseResult]):
    """Moments of the length: a ray attains the bound, a circle stays near Jensen's."""
    table = moment_table(config, results)
    drawing = di.plots.series(
        {"ray from 0": (table["m"], *table["ray"]), "circle": (table["m"], *table["circle"])},
        {
            "exact at a point (upper bound of every curve)": (table["m"], table["bound"]),
            "(mean length)^m (lower bound)": (table["m"], table["least"]),
        },
        x_label="order m",
        y_label=r"$E\,[\mathrm{distortion}^m]$",
        log_y=True,
        title="Moments of the length: attained on rays, far away on circles",
        note=f"layer {moment_layer(config)}, width {max(config.widths)}",
    )
    caption = "On a ray the Jacobian is constant along the curve, which therefore has the moments of one point; a circle averages."
    return item("Moments of the length", caption, drawing)


def volumes(config: Config, results: Mapping[str, CaseResult]):
    """ln of the stretch of frames of several dimensions."""
    from deepinit.theory.lengths import log_length_moments_by_layer

    n, depth = middle(config), config.depth
    layer, points, lines = np.arange(1, depth + 1), {}, {}
    for size in config.dimensions:
        name, result = f"d = {size}", results[f"volume-d{size}-w{n}"]
        points[name] = (layer, measured(result).mean[:depth], measured(result).error[:depth])
        lines[name] = (layer, predicted(result)[:depth])
    if 1 not in config.dimensions:
        logs = log_length_moments_by_layer((n,) * (depth + 1), output=None)
        lines["d = 1, exact"] = (layer, 0.5 * np.asarray(logs.mean))
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"hidden layer $\ell$",
        y_label=f"mean of {STRETCH.symbol}",
        title="Areas and volumes shrink faster than lengths",
        note=f"width {n}, {config.num_point_seeds:,} networks each",
    )
    return item("Lengths, areas, volumes", "Lines are exact at this width.", drawing)


def biases(config: Config, results: Mapping[str, CaseResult]):
    """The spread of the length over networks, with and without biases."""
    from deepinit.theory.lengths import circle_relative_variances_by_layer, length_moments_by_layer

    n, depth = middle(config), config.depth
    chosen = {"no biases": results[f"circle-w{n}"]}
    chosen |= {f"biases of standard deviation {std:g}": results[f"bias-{std:g}"] for std in config.bias_stds}
    layer, points = np.arange(1, depth + 1), {}
    for name, result in chosen.items():
        sd = np.sqrt(measured(result).spread[:depth])
        points[name] = (layer, sd, measured(result).spread_error[:depth] / (2.0 * sd))
    widths = (n,) * (depth + 1)
    first, second = (length_moments_by_layer(widths, m, output=None) for m in (1, 2))
    drawing = di.plots.series(
        points,
        {
            "one tangent, exact (bound)": (layer, np.sqrt(second / first**2 - 1.0)),
            "circle without biases, to first order in 1/width": (
                layer,
                np.sqrt(circle_relative_variances_by_layer(widths[1:])),
            ),
        },
        x_label=r"hidden layer $\ell$",
        y_label="standard deviation over networks / mean",
        title="Biases leave the mean length alone and widen its distribution",
        note=f"circle, width {n}",
    )
    caption = "With large biases nearby points switch the same units: the curve is stretched as one tangent is, and averages less."
    return item("Biases", caption, drawing)


def spreads(config: Config, results: Mapping[str, CaseResult]):
    """Variance of the length against width: hidden layers fall like 1/width, few outputs keep a limit."""
    from deepinit.theory.lengths import circle_relative_variance

    points, lines = {}, {}
    for layer in sorted({1, min(4, config.depth)}):
        name, drawn = f"hidden layer {layer}", [measured(results[f"circle-w{width}"]) for width in config.widths]
        columns = [layers.spread[layer - 1] for layers in drawn], [layers.spread_error[layer - 1] for layers in drawn]
        points[name] = (config.widths, *columns)
        lines[name] = (config.widths, circle_relative_variance(layer) / np.array(config.widths))
    if config.narrow_widths:
        narrow = [results[f"narrow-w{width}"] for width in config.narrow_widths]
        limit = limit_spread(narrow[0])
        name = f"{NARROW_OUTPUT} outputs of {NARROW_DEPTH} hidden layers"
        spread = [measured(result).spread[-1] for result in narrow]
        points[name] = (config.narrow_widths, spread, [measured(result).spread_error[-1] for result in narrow])
        width = np.array(sorted({*config.widths, *config.narrow_widths}))
        lines[name] = (width, limit + circle_relative_variance(NARROW_DEPTH) / width)
        lines["infinite_width"] = (width, np.full(len(width), limit))
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"width $n$",
        y_label="variance over networks / mean²",
        log_x=True,
        log_y=True,
        title="Variance of a circle's length",
        note="no biases; lines are to first order in 1/width",
    )
    caption = (
        "Hidden layers: V/n with V from the angle process of the circle. Two outputs: infinite width (dashed) leaves a variance, by "
        "the kernel of velocities; its solid line adds the variance of the hidden length, and lacks the fluctuation of the kernel, of order 1/n too."
    )
    return item("Variance of the length against width", caption, drawing)


def deep_histogram(config: Config, results: Mapping[str, CaseResult]):
    """ln |Ju| over deep narrow networks against its exact density."""
    result = results[f"deep-w{config.deep_width}"]
    values, cdf = deep_distribution(result)
    grid = np.linspace(values[0], values[-1], 201)
    density = np.diff(cdf(grid)) / np.diff(grid)
    drawing = di.plots.histogram(
        values,
        density={"exact": (0.5 * (grid[1:] + grid[:-1]), density)},
        label=STRETCH.symbol,
        notes=f"KS distance {deep_distance(result):.4f}",
        title=f"Logarithm of the stretch at width {config.deep_width}, depth {config.deep_depth}",
    )
    caption = "The density is exact, by inversion of the characteristic function; the mean of |Ju| itself is made by the right tail."
    return item("Deep and narrow", caption, drawing)


def laws(config: Config, results: Mapping[str, CaseResult]):
    """Mean ln |J u| of every law against its prediction."""
    layer, points, lines = np.arange(1, config.law_depth + 1), {}, {}
    for law in config.laws:
        result, name = results[law.replace("_", "-")], law.replace("_", " ")
        points[name] = (layer, measured(result).mean, measured(result).error)
        lines[name] = (layer, predicted(result, "idealized" if law in WITHOUT_EXACT_LAW else "exact"))
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"layer $\ell$",
        y_label=f"mean of {STRETCH.symbol}",
        title="Other laws: exact where masks are fair coins and images Gaussian",
        note=f"width {config.law_width}, {config.num_point_seeds:,} networks each",
    )
    ends = ", ".join(name.replace("_", " ") for name in config.laws if name in WITHOUT_EXACT_LAW)
    caption = f"No exact law for {ends}: their lines are those of Gaussian weights without biases." if ends else ""
    return item("Other laws", caption or "All lines are exact.", drawing)


def images(results: Mapping[str, CaseResult]):
    """Lines and circles through real images."""
    drawn = {
        name: (results[key].case.inputs.curve, results[key].dataset)
        for name, key in (("line", "image-line"), ("circle", "image-circle"))
    }
    named = {f"{curve.label}": (curve, data) for curve, data in drawn.values()}
    caption = (
        "A line between two MNIST digits and a circle through three, through random ReLU networks: the exact mean holds for them too. The scale is "
        "sqrt(n / 784)."
    )
    return item(
        "Curves through real images", caption, di.plots.curve_images(named, title="Length of curves between digits")
    )


EXPERIMENT = Experiment(
    name="expected_length",
    title="Expected length of curves through random networks",
    presets=PRESETS,
    cases=cases,
    figures=figures,
    question="Does a random network of finite width lengthen or shorten the curves that pass through it, and by how much?",
    remarks=remarks,
    citation="""@inproceedings{hanin2022deep,
  title     = {Deep {ReLU} Networks Preserve Expected Length},
  author    = {Hanin, Boris and Jeong, Ryan and Rolnick, David},
  booktitle = {International Conference on Learning Representations},
  year      = {2022},
  note      = {arXiv:2102.10492},
}""",
)
