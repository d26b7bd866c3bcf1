"""Tables of resnet_diffusion: kernels by width and depth."""

import numpy as np

from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results

from .analysis import EXACT
from .cases import crossed_sizes
from .config import Config
from .limits import ENTRIES, last, limit_kernels, means, predicted

INFINITE = "infinite"


def kernel_table(config: Config, results: Results) -> Table:
    """Kernels by width and depth, with both limits of each."""
    rows = []
    for width in config.table_widths:
        for depth in config.table_depths:
            result = results[f"table-w{width}-l{depth}"]
            weight, bias, q1, _, overlap = means(result)
            variance = last(result).variance
            cells = [weight, bias, float(variance[1] ** 0.5), q1, float(variance[2]), overlap]
            rows.append([width, depth, *cells])
        deepest = results[f"table-w{width}-l{config.table_depths[-1]}"]
        exact = predicted(deepest, EXACT, "predicted_variance")
        cells = [None, None, float(exact[1] ** 0.5), None, float(exact[2]), None]
        rows.append([width, INFINITE, *cells])
    first = config.table_widths[0]
    limits = {
        depth: predicted(results[f"table-w{first}-l{depth}"], "infinite_width")
        for depth in config.table_depths
    }
    for depth, value in (limits | {INFINITE: limit_kernels()}).items():
        weight, bias, q1, _, overlap = (f"{entry:.5f}" for entry in value)
        rows.append([INFINITE, depth, weight, bias, 0.0, q1, 0.0, overlap])
    return Table(
        "Kernels by width and depth",
        ["D", "L", "K_W", "K_b", "sd K_b", "q_1", "Var q_1", "lambda_12"],
        rows,
        "Infinite L at finite D: exact variances; means are those of both limits.",
    )


def spread_table(config: Config, results: Results) -> Table:
    """Relative ranges of the mean of K_W, and of D Var q_1 at the largest depth."""
    columns = [
        [last(results[f"table-w{width}-l{depth}"]) for depth in config.table_depths]
        for width in config.table_widths
    ]
    weight = np.array([[column.mean[0] for column in row] for row in columns])
    widths = np.array(config.table_widths)
    scaled = widths * [row[-1].variance[2] for row in columns]
    rows = [
        ["K_W over depths, widest", 100 * float(np.ptp(weight[-1]) / weight[-1].mean())],
        ["K_W over widths, largest", 100 * float((np.ptp(weight, 0) / weight.mean(0)).max())],
        ["D Var q_1 over widths, deepest", 100 * float(np.ptp(scaled) / scaled.mean())],
    ]
    return Table(
        "Means move with the depth, variances with the width: ranges, %",
        ["", "range / mean, %"],
        rows,
    )


def square_table(config: Config, results: Results) -> Table:
    """Tangent kernels at D = L, and of narrow deep and wide shallow networks."""
    sizes = {f"square-{size}": (size, size) for size in config.squares}
    sizes |= {f"square-w{d}-l{length}": (d, length) for d, length in crossed_sizes(config)}
    rows = []
    for name, size in sizes.items():
        result = results[name]
        deviations, limit = np.sqrt(last(result).variance), predicted(result, "infinite_width")
        weight, bias = ([means(result)[k], float(deviations[k]), float(limit[k])] for k in range(2))
        rows.append([*size, *weight, *bias])
    return Table(
        "Tangent kernels of weights and biases",
        ["D", "L", "K_W", "sd K_W", "K_W, infinite width", "K_b", "sd K_b", "K_b, infinite width"],
        rows,
        f"Both limits: K_W {limit_kernels()[0]:.3f}. Its gap is one of depth.",
    )


def linear_table(config: Config, results: Results) -> Table:
    """Variances of linear networks over those of infinite depth."""
    width, depth = config.table_widths[0], max(config.linear_depths)
    result = results[f"linear-w{width}-l{depth}"]
    data, exact = result.dataset.isel(layer=-1), predicted(result, EXACT, "predicted_variance")
    ratios = (data[name].values / exact for name in ("variance", "variance_standard_error"))
    rows = [
        [entry, with_error(float(ratio), float(error))]
        for entry, ratio, error in zip(ENTRIES, *ratios, strict=True)
        if np.isfinite(ratio)
    ]
    return Table(
        f"Linear networks, D = {width}, L = {depth}: variance / exact variance of infinite depth",
        ["entry", "ratio"],
        rows,
    )
