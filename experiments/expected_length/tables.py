"""Tables of expected_length: lengths, volumes and their spread."""

import math

import numpy as np

from deepinit.comparison.compare import largest_z as largest
from deepinit.comparison.compare import verdict
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import CaseResult, Results
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    circle_relative_variance,
    growth_threshold,
    length_moment,
    volume_moment,
)

from .analysis import (
    deep_distance,
    he_curves,
    largest_z,
    limit_spread,
    measured,
    moment_table,
    predicted,
)
from .cases import (
    BOUNDS,
    NARROW_DEPTH,
    NARROW_OUTPUT,
    WITHOUT_EXACT_LAW,
    Config,
    middle,
    moment_layer,
)

SCORES = ["z, largest", "verdict"]


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        depth_table(config, results),
        polygon_table(config, results),
        width_table(config, results),
        shape_table(results),
        point_table(config, results),
        variance_table(config, results),
        length_moments(config, results),
        volume_table(config, results),
        bias_table(config, results),
        spread_table(config, results),
        narrow_table(config, results),
        deep_table(config, results),
        law_table(config, results),
    ]


def scores(result: CaseResult, theory: str) -> list:
    """The largest judged |z| of a theory, and its verdict."""
    z = largest_z(result, theory)
    return [z, verdict(z)]


def mean_at(result: CaseResult, layer: int) -> str:
    """The measured mean of a layer, from 1, with its standard error."""
    layers = measured(result)
    return with_error(layers.mean[layer - 1], layers.error[layer - 1])


def depth_table(config: Config, results: Results) -> Table:
    """Mean length of a circle: exact, first order, earlier bounds."""
    n, depth = middle(config), config.depth
    main = results[f"circle-w{n}"]
    rows = [
        [theory, mean_at(main, depth), predicted(main, theory)[depth - 1], *scores(main, theory)]
        for theory in ("exact", *BOUNDS, "infinite_width")
    ]
    return Table(
        f"Mean length of a circle after {depth} layers of width {n}",
        ["theory", "measured", "predicted", *SCORES],
        rows,
        "price_tanner: lower bound. raghu: growth rate. z over all layers.",
    )


def polygon_table(config: Config, results: Results) -> Table:
    """The bias of lengths measured by polygons."""
    n, depth, rows = middle(config), config.depth, []
    if f"polygon-w{n}" in results:
        polygon = results[f"polygon-w{n}"]
        exact, layers = predicted(polygon)[depth - 1], measured(polygon)
        mean, error = layers.mean[depth - 1] / exact, layers.error[depth - 1] / exact
        expected = 200 * depth / (3 * config.polygon_chords)
        rows = [[config.polygon_chords, with_error(100 * (1 - mean), 100 * error), expected]]
    return Table(
        f"Deficit of a polygon after {depth} layers of width {n}",
        ["chords", "deficit, %", "2 depth / (3 chords), %"],
        rows,
    )


def width_table(config: Config, results: Results) -> Table:
    """The first-order exponential against the exact mean."""
    rows, depth = [], config.depth
    for width in config.widths:
        result = results[f"circle-w{width}"]
        exact, first = (predicted(result, name)[depth - 1] for name in ("exact", "first_order"))
        excess = 100 * (first / exact - 1.0)
        rows.append([width, exact, first, excess, *scores(result, "first_order")])
    return Table(
        f"First order after {depth} layers",
        ["width", "exact", "exp(-5/8 sum 1/n)", "excess, %", *SCORES],
        rows,
        "The next term of the exponent is -3/8 sum 1/n^2.",
    )


def shape_table(results: Results) -> Table:
    """The exact mean for unequal widths and real images."""
    names = [name for name in he_curves(results) if name.startswith("circle-") and "-w" not in name]
    names += [name for name in ("image-line", "image-circle") if name in results]
    return Table(
        "Exact mean, unequal widths and real images",
        ["case", *SCORES],
        [[name, *scores(results[name], "exact")] for name in names],
    )


def point_table(config: Config, results: Results) -> Table:
    """Infinite width against one tangent."""
    rows = [
        [width, *scores(results[f"point-w{width}"], "infinite_width")]
        for width in config.point_widths
    ]
    return Table(f"Infinite width after {config.depth} layers", ["width", *SCORES], rows)


def variance_table(config: Config, results: Results) -> Table:
    """Growth and decay by the variance of the weights."""
    n, depth = middle(config), config.depth
    rows = []
    for variance in config.weight_vars:
        result = results[f"variance-{variance:g}"]
        exact = predicted(result)[depth - 1]
        rows.append([variance, mean_at(result, depth), exact, float(growth_threshold(n))])
    return Table(
        f"Mean length by weight variance after {depth} layers of width {n}",
        ["weight variance", "measured", "exact", "growth above the variance"],
        rows,
        "At infinite width length grows above the variance 2.",
    )


def length_moments(config: Config, results: Results) -> Table:
    """Moments of a ray, which attain the bound, and of a circle."""
    moments = moment_table(config, results)
    columns = (
        [int(m) for m in moments["m"]],
        *(list(map(with_error, *moments[name])) for name in ("ray", "circle")),
        moments["bound"],
        moments["least"],
    )
    return Table(
        f"Moments E length^m at layer {moment_layer(config)} of width {max(config.widths)}",
        ["m", "ray", "circle", "exact at a point", "(E length)^m"],
        list(zip(*columns, strict=True)),
        "The moments at a point bound those of every curve.",
    )


def volume_table(config: Config, results: Results) -> Table:
    """Volumes of frames: mean and variance of the logarithm are exact."""
    n, depth = middle(config), config.depth
    rows = []
    for size in config.dimensions:
        result = results[f"volume-d{size}-w{n}"]
        mean = float(volume_moment(HomogeneousNetwork((n,) * (depth + 1), output=None), size))
        z = largest(result.dataset["variance_z"].sel(theory="exact").values)
        rows.append([size, mean_at(result, depth), mean, z, verdict(z)])
    return Table(
        f"Volumes after {depth} layers of width {n}",
        ["d", "mean ln volume", "mean volume, exact", "z of the variance, largest", "verdict"],
        rows,
        "Mean volume to first order: exp(-d(3d+2)/8 sum 1/n). Verdict: on the exact variance.",
    )


def bias_table(config: Config, results: Results) -> Table:
    """Biases leave the mean and change the spread."""
    n, depth = middle(config), config.depth
    names = {0.0: f"circle-w{n}", **{std: f"bias-{std:g}" for std in config.bias_stds}}
    rows = [
        [
            std,
            mean_at(results[name], depth),
            100 * math.sqrt(measured(results[name]).spread[depth - 1]),
        ]
        for std, name in names.items()
    ]
    return Table(
        f"Biases: length of a circle after {depth} layers of width {n}",
        ["bias std", "mean length", "sd over networks, % of the mean"],
        rows if config.bias_stds else [],
    )


def spread_table(config: Config, results: Results) -> Table:
    """Width times Var / mean^2 of the length of a circle."""
    n = max(config.widths)
    layers = measured(results[f"circle-w{n}"])
    rows = [
        [
            layer,
            with_error(n * layers.spread[layer - 1], n * layers.spread_error[layer - 1]),
            float(circle_relative_variance(layer)),
            1.25 * layer,
        ]
        for layer in sorted({1, config.depth})
    ]
    return Table(
        f"Width times Var / mean^2 of a circle's length, width {n}",
        ["layer", "measured", "limit", "limit, one tangent squared"],
        rows,
    )


def narrow_table(config: Config, results: Results) -> Table:
    """Few outputs: a variance survives infinite width."""
    rows = []
    for width in config.narrow_widths:
        result = results[f"narrow-w{width}"]
        layers, limit = measured(result), limit_spread(result)
        spread = with_error(layers.spread[-1], layers.spread_error[-1])
        rows.append([width, spread, limit, limit + circle_relative_variance(NARROW_DEPTH) / width])
    return Table(
        f"Var / mean^2 of a circle's length with {NARROW_OUTPUT} outputs",
        ["width", "measured", "infinite width", "and variance of the hidden length"],
        rows,
        "Omitted: the fluctuation of the velocity kernel, of order 1/width too.",
    )


def deep_table(config: Config, results: Results) -> Table:
    """Deep and narrow: mean, first order, typical network."""
    n, depth, rows = config.deep_width, config.deep_depth, []
    if n:
        result = results[f"deep-w{n}"]
        typical = float(np.exp(result.dataset["mean"].isel(layer=-1, component=0)))
        mean = float(length_moment(HomogeneousNetwork((n,) * (depth + 1), output=None)))
        first = math.exp(-0.625 * depth / n)
        rows = [[n, depth, mean, first, typical, deep_distance(result)]]
    return Table(
        "Deep and narrow: length of a tangent",
        ["width", "depth", "mean, exact", "mean, first order", "typical", "KS distance"],
        rows,
        "Typical: exp of the measured mean logarithm. KS: distance to the exact distribution.",
    )


def law_table(config: Config, results: Results) -> Table:
    """Other laws: where the exact law ends."""
    rows = []
    for name in config.laws:
        result = results[name.replace("_", "-")]
        theory = "idealized" if name in WITHOUT_EXACT_LAW else "exact"
        value = predicted(result, theory)[-1]
        rows.append([name.replace("_", " "), mean_at(result, 0), theory, value])
        rows[-1] += scores(result, theory)
    return Table(
        f"Other laws: mean ln |J u| after {config.law_depth} layers",
        ["law", "measured", "theory", "predicted", *SCORES],
        rows,
        "idealized: Gaussian weights without biases, where no exact law exists.",
    )
