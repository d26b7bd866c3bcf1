"""What the results of the experiment on lengths and volumes say, in words."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

from deepinit.comparison.compare import NOT_JUDGED, judged_z, verdict, worst_of
from deepinit.comparison.compare import largest_z as largest
from deepinit.runs.experiment import Case, CaseResult

from .cases import (
    BOUNDS,
    LENGTH,
    NARROW_DEPTH,
    NARROW_OUTPUT,
    WITHOUT_EXACT_LAW,
    Config,
    middle,
    moment_layer,
)


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


_IN_WORDS = {
    "agrees": "in agreement with",
    "rejected": "REJECTING",
    NOT_JUDGED: "not judged against",
}
_OF_VARIANCE = {
    "agrees": "agrees with the exact one too",
    "rejected": "REJECTS the exact one",
    NOT_JUDGED: "is not judged against the exact one",
}


def measured(result: CaseResult) -> Layers:
    """The first entry of a case."""
    data = result.dataset.isel(pair=0)
    mean, error, variance, variance_error = (
        data[name].values
        for name in ("mean", "standard_error", "variance", "variance_standard_error")
    )
    return Layers(mean, error, variance / mean**2, variance_error / mean**2)


def predicted(result: CaseResult, route: str = "exact") -> np.ndarray:
    """One route's means [layers] of the first entry of a case."""
    return result.dataset["predicted"].sel(route=route).isel(pair=0).values


def largest_z(result: CaseResult, route: str) -> float:
    """The largest |z| of a route where it is judged; NaN where it is nowhere."""
    return largest(judged_z(result.dataset, route))


def he_curves(results: Mapping[str, CaseResult]) -> dict[str, CaseResult]:
    """The cases of curves whose hidden layers all have He's variance, measured by tangents."""
    return {
        name: result
        for name, result in results.items()
        if result.case.quantity is LENGTH
        and not name.startswith(("polygon", "variance", "narrow", "ray"))
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
    layers, routes = (
        measured(main),
        {route: predicted(main, route)[depth - 1] for route in ("exact", *BOUNDS)},
    )
    held = _IN_WORDS[verdict(largest_z(main, "exact"))]
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
    gap = (
        predicted(narrow, "first_order")[config.depth - 1] / predicted(narrow)[config.depth - 1]
        - 1.0
    )
    found = verdict(largest_z(narrow, "first_order"))
    judged = "not rejected by this many networks" if found == "agrees" else found
    sentences.append(
        f"At width {min(config.widths)} and depth {config.depth} the first-order exponential is {100 * gap:.1f} % above the exact mean "
        f"and {judged} (|z| <= {largest_z(narrow, 'first_order'):.1f}): the next term is -3/8 sum 1/n^2."
    )
    shapes = [
        name for name in he_curves(results) if name.startswith("circle-") and "-w" not in name
    ]
    shapes += [name for name in ("image-line", "image-circle") if name in results]
    if shapes:
        worst = worst_of(largest_z(results[name], "exact") for name in shapes)
        unit = {
            "agrees": "one exact formula covers",
            "rejected": "the exact formula FAILS for",
            NOT_JUDGED: "the exact formula cannot be judged for some of",
        }[verdict(worst)]
        sentences.append(
            f"Divided by sqrt(n_l / n_0), {unit} unequal widths and other input widths, real images included "
            f"({', '.join(shapes)}; |z| <= {worst:.1f}): the mean depends on sum 1/n_l alone, to first order."
        )
    if len(config.point_widths) > 1:
        z = [
            largest_z(results[f"point-w{width}"], "infinite_width") for width in config.point_widths
        ]
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
    from deepinit.theory.lengths import HomogeneousNetwork, length_moment

    n, orders = max(config.widths), (1, 2, 3, 4)
    widths = (n,) * (moment_layer(config) + 1)
    bound = np.array([length_moment(HomogeneousNetwork(widths, output=None), m) for m in orders])
    table = {"m": np.array(orders), "bound": bound, "least": bound[0] ** np.array(orders)}
    for name in ("ray", "circle"):
        lengths = np.asarray(results[f"{name}-w{n}"].estimate.samples[:, 0, 0], np.float64)
        powers = np.array([lengths**m for m in orders])
        table[name] = powers.mean(axis=1), powers.std(axis=1, ddof=1) / math.sqrt(powers.shape[1])
    return table


def volume_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Areas and volumes shrink faster than lengths; mean and variance of the logarithm are exact."""
    from deepinit.theory.lengths import HomogeneousNetwork, volume_moment

    if not config.dimensions:
        return []
    n, depth, parts, worst = middle(config), config.depth, [], []
    for size in config.dimensions:
        result = results[f"volume-d{size}-w{n}"]
        worst.append(largest(result.dataset["variance_z"].sel(route="exact").values))
        mean = volume_moment(HomogeneousNetwork((n,) * (depth + 1), output=None), size)
        parts.append(f"d = {size}: {measured(result).mean[depth - 1]:.3f} (mean volume {mean:.3g})")
    found = worst_of(worst)
    return [
        f"Volumes of dimension d shrink faster, to first order like exp(-d(3d+2)/8 sum 1/n): ln of the stretch after {depth} "
        f"layers of width {n} is on average {', '.join(parts)}; its variance over networks {_OF_VARIANCE[verdict(found)]} (|z| <= {found:.1f})."
    ]


def bias_words(config: Config, results: Mapping[str, CaseResult]) -> list[str]:
    """Biases leave the mean alone and change the spread."""
    n, depth, sentences = middle(config), config.depth, []
    without = measured(results[f"circle-w{n}"])
    for std in config.bias_stds:
        result = results[f"bias-{std:g}"]
        layers = measured(result)
        with_sd, plain_sd = (
            math.sqrt(layers.spread[depth - 1]),
            math.sqrt(without.spread[depth - 1]),
        )
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
    from deepinit.theory.lengths import HomogeneousNetwork, length_moment

    if not config.deep_width:
        return []
    n, depth = config.deep_width, config.deep_depth
    result = results[f"deep-w{n}"]
    mean = length_moment(HomogeneousNetwork((n,) * (depth + 1), output=None))
    log_mean = float(result.dataset["mean"].isel(layer=-1, pair=0))
    return [
        f"Preserved is the mean at depth / width below 1: at width {n} and depth {depth} the exact mean length is {mean:.3g} (first order "
        f"{math.exp(-0.625 * depth / n):.3g}), and a typical network, exp of the mean logarithm, keeps {math.exp(log_mean):.2g}: "
        f"the distribution is log-normal-like, KS distance to the exact one {deep_distance(result):.4f}."
    ]


def deep_distribution(result: CaseResult):
    """(samples of ln |Ju|, sorted; the exact distribution function of ln |Ju| given that it is finite)."""
    from deepinit.theory.lengths import HomogeneousNetwork, length_cdf

    values = result.estimate.samples[:, 0, 0]
    widths = all_widths(result.case)
    dead = float(length_cdf(0.0, HomogeneousNetwork(widths, output=None)))
    cdf = lambda y: (
        (length_cdf(np.exp(y), HomogeneousNetwork(widths, output=None)) - dead) / (1.0 - dead)
    )
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
        mean, error, value = (
            measured(result).mean[-1],
            measured(result).error[-1],
            predicted(result, route)[-1],
        )
        text = f"{name.replace('_', ' ')} {mean:.3f} +- {error:.3f} against {value:.3f} (|z| <= {largest_z(result, route):.1f})"
        (broken if name in WITHOUT_EXACT_LAW else exact).append(text)
    sentences = []
    if exact:
        sentences.append(
            f"Mean ln |J u| after {config.law_depth} layers, exact for {'; '.join(exact)}."
        )
    if broken:
        sentences.append(
            f"No exact law, measured against Gaussian weights of the same variance without biases: {'; '.join(broken)}. "
            "A constant bias switches units on and lengthens curves; weights that are not Gaussian change the first layer, where the tangent is a "
            "coordinate direction."
        )
    return sentences
