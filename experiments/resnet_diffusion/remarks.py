"""What the results of the experiment on diffusions say, in words."""

from collections.abc import Mapping

import numpy as np

from deepinit.comparison.compare import NOT_JUDGED, judged_z, largest_z
from deepinit.runs.experiment import CaseResult

from .analysis import DOUBLE_LIMIT, EXACT
from .cases import BEYOND, EXPLODING, IMAGE, Config, drawn_name, drawn_sizes, explosion_time
from .limits import (
    ENTRIES,
    correlations,
    drawn_quantiles,
    equation_moments,
    last,
    limit_kernels,
    ordered_entries,
    route,
    strong_errors,
)

Results = Mapping[str, CaseResult]
PAPER_ENDS = {
    "tanh": "-2.77, 1.97, 6.64",
    "silu": "2.17, 5.07, 8.08",
}  # its figure, D = L = 500, z = 2


def with_error(value: float, error: float) -> str:
    """2.726(14)."""
    if not np.isfinite(error) or error <= 0:
        return f"{value:.4g}"
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 8))
    return f"{value:.{digits}f}({error * 10**digits:.0f})"


def remarks(config: Config, results: Results) -> list[str]:
    """Every part in turn."""
    return [
        *function_words(config, results),
        *moment_words(config, results),
        *table_words(config, results),
        *square_words(config, results),
        *variance_words(config, results),
        *gradient_words(config, results),
        *limit_words(config, results),
        *convolution_words(config, results),
    ]


def quantiles_at(result: CaseResult, entry: int) -> str:
    """Measured 5, 50 and 95 % quantiles of an input at the last layer."""
    levels = (
        result.dataset["quantiles"].sel(level=[0.05, 0.5, 0.95]).isel(layer=-1, pair=entry).values
    )
    return ", ".join(f"{value:.2f}" for value in levels)


def function_words(config: Config, results: Results) -> list[str]:
    """Quantiles at z = 2 beside those of the paper's figure; the map of correlations."""
    found = []
    for activation, paper in PAPER_ENDS.items():
        result = results[f"functions-resnet-{activation}"]
        band = drawn_quantiles(results, config, f"functions-resnet-{activation}")[1][:, -1]
        told = ", ".join(f"{value:.2f}" for value in band)
        found.append(
            f"Residual networks, {activation}, D = L = {config.size}, z = 2: 5, 50 and 95 % quantiles {quantiles_at(result, -1)}; "
            f"double limit {told}; the paper's figure at D = L = 500: {paper}."
        )
        told = "; ".join(
            f"({width}, {depth}): {quantiles_at(results[f'{drawn_name(config, width, depth)}-{activation}'], -1)}"
            for width, depth in drawn_sizes(config)
        )
        if told:
            found.append(
                f"The same quantiles by width and depth (D, L), {activation}, z = 2: {told}."
            )
    feed = results["functions-mlp-tanh"]
    relu = results["functions-mlp-relu"]
    found.append(
        f"Feed-forward networks at the edge of chaos, z = 2: tanh {quantiles_at(feed, -1)} (the paper's figure: flat at -1.19, 0, 1.19), "
        f"ReLU {quantiles_at(relu, -1)}, with a variance {last(relu).variance[-1]:.2f} (infinite width 8) and quantiles inside the Gaussian's, "
        "because its depth is not small beside its width."
    )
    corners = {name: values[0, -1] for name, (_, values) in correlations(config).items()}
    told = ", ".join(f"{name} {value:.3f}" for name, value in corners.items())
    found.append(f"Correlation of the values at z = -2 and z = 2, deep and wide: {told}.")
    return found


def _off(z: float) -> str:
    return NOT_JUDGED if np.isnan(z) else f"{z:.0f} standard errors off"


def moment_words(config: Config, results: Results) -> list[str]:
    """Network, equation, closed form; the bias of the depth."""
    from deepinit.theory.diffusion import depth_bias

    network, equation = last(results["moments"]), equation_moments(config)
    limit = route(results["moments"], DOUBLE_LIMIT)
    finite = route(results["moments"], "infinite_width")
    columns = [
        f"{name}: network {with_error(network.mean[k], network.error[k])}, equation {with_error(equation.mean[k], equation.error[k])}, "
        f"limit {limit[k]:.5f}, limit at this depth {finite[k]:.5f}"
        for k, name in enumerate(ordered_entries(config))
    ]
    found = [f"x_T at D = L = {config.size}: " + "; ".join(columns) + "."]
    bias = depth_bias("tanh", np.outer([0.0, 1.0], [0.0, 1.0]), 1.0, 1.0).overlap / config.size
    overlaps, data = last(results["overlaps"]), results["overlaps"].dataset
    z = largest_z(judged_z(data, EXACT)[-1])
    found.append(
        f"The means over all coordinates resolve the bias of the depth, {bias[0, 0]:.3f}, {bias[0, 1]:.3f} and {bias[1, 1]:.3f} to first order in 1 / L for "
        f"(0, 0), (0, 1) and (1, 1): measured less limit {', '.join(f'{v:.4f}' for v in overlaps.mean - route(results['overlaps'], EXACT))}; "
        f"the limit without it is {_off(z)}."
    )
    steps = (equation.mean - limit) / equation.error
    found.append(
        f"The equation, by Euler's method with {config.size} steps and {config.num_paths:,} paths, is within {np.nanmax(np.abs(steps)):.1f} standard errors of the limit "
        f"(its own bias: -{np.e / config.size:.3f} in the mean square at z = 1)."
    )
    return found


def row(result: CaseResult) -> str:
    """One entry of the table."""
    column = last(result)
    means = {name: with_error(column.mean[k], column.error[k]) for k, name in enumerate(ENTRIES)}
    return (
        f"K_W {means['K_W']}, K_b {means['K_b']}, sd K_b {column.variance[1] ** 0.5:.3f}, q_1 {means['q_1']}, "
        f"Var q_1 {column.variance[2]:.3g}, lambda_12 {means['lambda_12']}"
    )


def table_words(config: Config, results: Results) -> list[str]:
    """The table of kernels by width and depth, with its edges at infinity."""
    found = []
    for width in config.table_widths:
        for depth in config.table_depths:
            found.append(f"D = {width}, L = {depth}: {row(results[f'table-w{width}-l{depth}'])}.")
        exact = route(
            results[f"table-w{width}-l{config.table_depths[-1]}"], EXACT, "predicted_variance"
        )
        found.append(
            f"D = {width}, L infinite (exact): means of both limits, sd K_b {exact[1] ** 0.5:.4f}, Var q_1 {exact[2]:.5g}."
        )
    for depth in config.table_depths:
        case = results[f"table-w{config.table_widths[0]}-l{depth}"]
        weight, bias, q1, _, overlap = route(case, "infinite_width")
        found.append(
            f"D infinite, L = {depth}: K_W {weight:.4f}, K_b {bias:.4f}, q_1 {q1:.4f}, lambda_12 {overlap:.4f}, no variance."
        )
    weight, bias, q1, _, overlap = limit_kernels()
    found.append(
        f"Both infinite: K_W {weight:.5f}, K_b {bias:.5f}, q_1 {q1:.5f}, lambda_12 {overlap:.5f}."
    )
    spread_widths, spread_depths = mean_spreads(config, results)
    found.append(
        f"Means move with L and not with D, variances fall like 1 / D (and grow with L, towards their limits): K_W moves by {spread_depths:.0%} from L = {config.table_depths[0]} to {config.table_depths[-1]}, "
        f"and by {spread_widths:.1%} at most between widths; the variance of q_1 times D stays "
        f"within {scaled_variances(config, results)} at L = {config.table_depths[-1]}."
    )
    return found


def mean_spreads(config: Config, results: Results) -> tuple[float, float]:
    """Relative range of K_W over widths (the largest over depths), and over depths (of the widest)."""
    table = np.array(
        [
            [last(results[f"table-w{width}-l{depth}"]).mean[0] for depth in config.table_depths]
            for width in config.table_widths
        ]
    )
    over_widths = (np.ptp(table, axis=0) / table.mean(axis=0)).max()
    return float(over_widths), float(np.ptp(table[-1]) / table[-1].mean())


def scaled_variances(config: Config, results: Results) -> str:
    """Smallest and largest D Var q_1 at the largest depth."""
    depth = config.table_depths[-1]
    values = [
        width * last(results[f"table-w{width}-l{depth}"]).variance[2]
        for width in config.table_widths
    ]
    return f"{min(values):.1f} to {max(values):.1f}"


def square_words(config: Config, results: Results) -> list[str]:
    """D = L: what the paper's figure shows, and that its gap is one of depth."""
    found = []
    for size in config.squares:
        result = results[f"square-{size}"]
        column, recursion = last(result), route(result, "infinite_width")
        deviations = np.sqrt(column.variance)
        found.append(
            f"D = L = {size}: K_W {with_error(column.mean[0], column.error[0])}, sd {deviations[0]:.3f} (infinite width {recursion[0]:.3f}), "
            f"K_b {with_error(column.mean[1], column.error[1])}, sd {deviations[1]:.3f} ({recursion[1]:.3f})."
        )
    for width, depth in sorted((a, b) for a in config.crossed for b in config.crossed if a != b):
        column = last(results[f"square-w{width}-l{depth}"])
        found.append(
            f"D = {width}, L = {depth}: K_W {with_error(column.mean[0], column.error[0])}: the gap to {limit_kernels()[0]:.3f} is one of depth, not of width."
        )
    return found


def variance_words(config: Config, results: Results) -> list[str]:
    """Measured variances over the exact ones of infinite depth, for the linear networks."""
    width, depth = config.table_widths[0], max(config.linear_depths)
    result = results[f"linear-w{width}-l{depth}"]
    data = result.dataset.isel(layer=-1)
    exact = route(result, EXACT, "predicted_variance")
    ratios = [
        f"{name} {with_error(float(data['variance'][k] / exact[k]), float(data['variance_standard_error'][k] / exact[k]))}"
        for k, name in enumerate(ENTRIES)
        if np.isfinite(exact[k])
    ]
    return [
        f"Linear networks, D = {width}, L = {depth}: variances over those of infinite depth, exact at this width: {', '.join(ratios)}; "
        "their means are those of infinite width at every width."
    ]


def gradient_words(config: Config, results: Results) -> list[str]:
    """Log-normal gradients and determinants, with what infinite width says of them."""
    first = results["gradients"].dataset.isel(layer=0, pair=0)
    told = [
        f"Gradient of the first coordinate with respect to layer 1, D = {config.gradient_width}: ln of its norm "
        f"{with_error(float(first['mean']), float(first['standard_error']))} with variance {float(first['variance']):.3f} "
        f"(exact at infinite depth {float(first['predicted'][0]):.4f} and {float(first['predicted_variance'][0]):.4f}; infinite width 1/2 and 0)."
    ]
    determinant = results["determinant"].dataset.isel(layer=-1, pair=0)
    mean, error = float(determinant["mean"]), float(determinant["standard_error"])
    told.append(
        f"ln |det| of the Jacobian {with_error(mean, error)} with variance {float(determinant['variance']):.3f} (exact -1/2 and 1, whatever the width; "
        f"if singular values were all equal, as an isometry up to scale has them, it were {config.gradient_width / 2:g}: "
        f"{abs(mean - config.gradient_width / 2) / error:.0f} standard errors away)."
    )
    return told


def limit_words(config: Config, results: Results) -> list[str]:
    """Strong orders, and what becomes of networks beyond the explosion."""
    found = []
    for name, expected in (("tanh", "1, reached from below as L grows"), ("silu", "1/2")):
        errors = strong_errors(config)[name]
        found.append(
            f"Networks and their limit on the same noise, {name}: root mean square distance of order {with_error(errors.orders[0], errors.order_errors[0])} in 1 / L "
            f"(theory: {expected})."
        )
    time = explosion_time(EXPLODING)
    ends = ", ".join(
        f"{depth}: {float(results[f'explosion-l{depth}'].dataset['mean'].isel(layer=-1, pair=0)):.2f}"
        for depth in config.exploding_depths
    )
    found.append(
        f"Swish at z = {EXPLODING:g}: the limit explodes at T = {time:.4f}. At T = {BEYOND:g} times that, finite networks are finite, but ln |x_T| / |x_0| grows "
        f"with the depth: L {ends}."
    )
    return found


def convolution_words(config: Config, results: Results) -> list[str]:
    """Overlaps of positions, measured and predicted."""
    result = results["convolution"]
    column, finite, limit = (
        last(result),
        route(result, "infinite_width"),
        route(result, DOUBLE_LIMIT),
    )
    told = "; ".join(
        f"(0, {p}) {with_error(column.mean[p], column.error[p])}, {finite[p]:.4f}, {limit[p]:.4f}"
        for p in range(len(IMAGE))
    )
    k = len(IMAGE)
    return [
        f"Convolution, {config.channels} channels, {config.convolution_depth} layers, overlaps of positions: measured, infinite width, both limits: {told}; "
        f"tangent kernel at position 0: {with_error(column.mean[k], column.error[k])}, {finite[k]:.4f}, {limit[k]:.4f}."
    ]
