"""Tables of resnet_diffusion: functions, moments, kernels, gradients, limits."""

import numpy as np

from deepinit.comparison.compare import judged_z, largest_z
from deepinit.core.result_views import with_error
from deepinit.core.tables import Table
from deepinit.runs.experiment import Results
from deepinit.theory.diffusion import depth_bias

from .analysis import DOUBLE_LIMIT, EXACT
from .cases import BEYOND, EXPLODING, IMAGE, drawn_name, drawn_sizes, explosion_time
from .config import Config
from .kernel_tables import kernel_table, linear_table, spread_table, square_table
from .limits import (
    correlations,
    drawn_quantiles,
    equation_moments,
    last,
    means,
    ordered_entries,
    predicted,
    strong_errors,
)

# quantiles at z = 2 in the paper's figures, D = L = 500
PAPER_QUANTILES = {
    "functions-resnet-tanh": "-2.77, 1.97, 6.64",
    "functions-resnet-silu": "2.17, 5.07, 8.08",
    "functions-mlp-tanh": "-1.19, 0, 1.19",
}
LEVELS = [0.05, 0.5, 0.95]


def tables(config: Config, results: Results) -> list[Table]:
    """All tables, in reading order."""
    return [
        quantile_table(config, results),
        correlation_table(config),
        moment_table(config, results),
        bias_table(config, results),
        kernel_table(config, results),
        spread_table(config, results),
        square_table(config, results),
        linear_table(config, results),
        gradient_table(config, results),
        order_table(config),
        explosion_table(config, results),
        convolution_table(config, results),
    ]


def quantile_table(config: Config, results: Results) -> Table:
    """Quantiles of random functions at z = 2."""
    names = {
        f"functions-{kind}": (config.size, config.size)
        for kind in ("resnet-tanh", "resnet-silu", "mlp-tanh", "mlp-relu")
    }
    names |= {
        f"{drawn_name(config, *size)}-{activation}": size
        for activation in ("tanh", "silu")
        for size in drawn_sizes(config)
    }
    rows = []
    for name, size in names.items():
        data = results[name].dataset["quantiles"].sel(level=LEVELS).isel(layer=-1, component=-1)
        band = drawn_quantiles(results, config, name)[1][:, -1]
        quantiles = [*map(float, data.values), *map(float, band)]
        variance = float(last(results[name]).variance[-1])
        rows.append([name, *size, *quantiles, variance, PAPER_QUANTILES.get(name)])
    levels = ["5 %", "50 %", "95 %"]
    return Table(
        "Quantiles of random functions at z = 2",
        ["case", "D", "L", *levels, *(f"limit {level}" for level in levels), "variance", "paper"],
        rows,
        "Limit: both limits (resnet), Gaussian of infinite width (mlp; ReLU variance 8). "
        "Paper: read off its figures, D = L = 500.",
    )


def correlation_table(config: Config) -> Table:
    """Correlations between the ends of the map."""
    rows = [[name, float(values[0, -1])] for name, (_, values) in correlations(config).items()]
    title = "Correlation of the values at z = -2 and z = 2, deep and wide"
    return Table(title, ["network", "correlation"], rows)


def moment_table(config: Config, results: Results) -> Table:
    """Network, equation, closed forms."""
    equation, limit = equation_moments(config), predicted(results["moments"], DOUBLE_LIMIT)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (equation.mean - limit) / equation.error
    rows = list(
        zip(
            ordered_entries(config),
            means(results["moments"]),
            map(with_error, equation.mean, equation.error),
            limit,
            predicted(results["moments"], "infinite_width"),
            z,
            strict=True,
        )
    )
    return Table(
        f"Moments of x_T at D = L = {config.size}",
        ["entry", "network", "equation", "both limits", "infinite width", "z equation"],
        rows,
        f"Equation: Euler's method, {config.size} steps, {config.num_paths:,} paths; its bias is "
        f"{-np.e / config.size:.3f} in the mean square at z = 1. z: equation - both limits.",
    )


def bias_table(config: Config, results: Results) -> Table:
    """The bias of finite depth, resolved by means over coordinates."""
    bias = depth_bias("tanh", np.outer([0.0, 1.0], [0.0, 1.0]), 1.0, 1.0).overlap / config.size
    overlaps, result = last(results["overlaps"]), results["overlaps"]
    differences = overlaps.mean - predicted(result, EXACT)
    z = judged_z(result.dataset, EXACT)[-1]
    rows = [
        [entry, with_error(*pair), float(first), float(score)]
        for entry, *pair, first, score in zip(
            ("(0, 0)", "(0, 1)", "(1, 1)"),
            differences,
            overlaps.error,
            bias[np.triu_indices(2)],
            z,
            strict=True,
        )
    ]
    return Table(
        f"Bias of the depth in overlaps, D = L = {config.size}",
        ["z, z'", "network - limit", "first order in 1 / L", "z of the limit"],
        rows,
        f"Largest |z| of the limit without the bias: {largest_z(z):.3g}.",
    )


def gradient_table(config: Config, results: Results) -> Table:
    """Log-normal gradients and determinants."""
    rows = []
    for name, label, layer, infinite in (
        ("gradients", "ln |gradient| of coordinate 1 at layer 1", 0, 0.5),
        ("determinant", "ln |det| of the Jacobian", -1, None),
    ):
        data = results[name].dataset.isel(layer=layer, component=0)
        mean, error = float(data["mean"]), float(data["standard_error"])
        exact = data.sel(theory=EXACT)
        isometry = config.gradient_width / 2 if name == "determinant" else None
        rows.append(
            [
                label,
                with_error(mean, error),
                float(exact["predicted"]),
                float(data["variance"]),
                float(exact["predicted_variance"]),
                infinite,
                isometry,
                None if isometry is None else (mean - isometry) / error,
            ]
        )
    columns = ["mean", "exact mean", "variance", "exact variance", "mean at infinite width"]
    return Table(
        f"Gradients and determinants, D = {config.gradient_width}, L = {config.gradient_depth}",
        ["", *columns, "isometry", "z isometry"],
        rows,
        "Exact: infinite depth. Isometry: the mean for equal singular values.",
    )


def order_table(config: Config) -> Table:
    """Strong orders of networks driven by the noise of their limit."""
    rows = []
    for name, theory in (("tanh", "1, from below"), ("silu", "1/2")):
        errors = strong_errors(config)[name]
        order = with_error(float(errors.orders[0]), float(errors.order_errors[0]))
        rows.append([name, order, theory])
    return Table(
        "Distance to the limit on the same noise: order in 1 / L",
        ["activation", "order", "theory"],
        rows,
    )


def explosion_table(config: Config, results: Results) -> Table:
    """Swish networks beyond the explosion time of their limit."""
    time, rows = explosion_time(EXPLODING), []
    for depth in config.exploding_depths:
        data = results[f"explosion-l{depth}"].dataset.isel(layer=-1, component=0)
        growth = with_error(float(data["mean"]), float(data["standard_error"]))
        rows.append([depth, BEYOND * time, time, growth])
    return Table(
        f"Swish beyond the explosion, z = {EXPLODING:g}",
        ["L", "T", "explosion time", "ln |x_T| / |x_0|"],
        rows,
    )


def convolution_table(config: Config, results: Results) -> Table:
    """Overlaps of positions, and the tangent kernel."""
    result = results["convolution"]
    entries = [*(f"overlap (0, {p})" for p in range(len(IMAGE))), "tangent kernel, position 0"]
    columns = (predicted(result, name) for name in ("infinite_width", DOUBLE_LIMIT))
    return Table(
        f"Convolution, {config.channels} channels, {config.convolution_depth} layers",
        ["entry", "measured", "infinite width", "both limits"],
        list(zip(entries, means(result), *columns, strict=True)),
    )
