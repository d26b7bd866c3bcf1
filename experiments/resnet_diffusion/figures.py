"""Figures of resnet_diffusion: functions, moments, kernels, gradients."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, checks_item, plot_item

from .analysis import DOUBLE_LIMIT, EXACT
from .cases import drawn_name, drawn_sizes, numbers
from .config import Config
from .limit_figures import LABELS, convolution_item, limit_items
from .limits import correlations, drawn_quantiles, equation_moments, last, limit_kernels, predicted


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    checked = {name: result for name, result in results.items() if result.case.checked}
    return [
        *function_items(config, results),
        *moment_items(config, results),
        *kernel_items(config, results),
        *gradient_items(results),
        *limit_items(config, results),
        convolution_item(config, results),
        checks_item(checked),
    ]


def function_items(config: Config, results: Results) -> list[FigureItem]:
    """Draws with quantiles, and correlation maps."""
    items, z = [], numbers(config)
    note = f"width and depth {config.size}, {config.num_draws:,} networks"
    for kind, activations, title in (
        (
            "mlp",
            ("tanh", "relu"),
            "Deep feed-forward networks at the edge of chaos forget their input",
        ),
        ("resnet", ("tanh", "silu"), "Deep residual networks keep it"),
    ):
        panels, bands = {}, {}
        for activation in activations:
            name = f"functions-{kind}-{activation}"
            panels[LABELS[activation]] = (z, results[name].estimate.samples[:, 0])
            bands[LABELS[activation]] = drawn_quantiles(results, config, name)
        limit = "both limits" if kind == "resnet" else "infinite width"
        caption = "A coordinate of the last layer as a random function of the input. " + (
            "ReLU: piecewise linear, variance proportional to z^2. tanh: a random constant."
            if kind == "mlp"
            else "Gaussian processes in the limit; swish has a nonzero mean."
        )
        items.append(
            plot_item(
                title,
                caption,
                di.plots.function_draws,
                panels,
                bands,
                x_label="input z, copied to all coordinates",
                y_label="one coordinate" if kind == "resnet" else "one preactivation",
                note=note,
                bands_are=f"Gaussian quantiles of {limit}",
            )
        )
    items += [
        size_item(config, results, activation)
        for activation in ("tanh", "silu")
        if drawn_sizes(config)
    ]
    title = "Correlations between inputs survive infinite depth in residual networks only"
    items.append(
        plot_item(
            title,
            "Correlation of one coordinate at two inputs: closed forms (residual), recursion "
            "(feed-forward).",
            di.plots.correlation_maps,
            correlations(config),
            x_label="input z",
            y_label="input z'",
            note="infinite width; residual networks of infinite depth, feed-forward networks at "
            f"the edge of chaos, {config.map_depth} layers",
        )
    )
    return items


def size_item(config: Config, results: Results, activation: str) -> FigureItem:
    """Draws by width and depth."""
    z, panels, bands = numbers(config), {}, {}
    for width, depth in drawn_sizes(config):
        name, panel = (
            f"{drawn_name(config, width, depth)}-{activation}",
            f"D = {width}, L = {depth}",
        )
        panels[panel] = (z, results[name].estimate.samples[:, 0])
        bands[panel] = drawn_quantiles(results, config, name)
    title = f"Width, depth and both limits: {LABELS[activation]}"
    return plot_item(
        title,
        "Residual networks by width (columns) and depth (rows), with both limits.",
        di.plots.function_draws,
        panels,
        bands,
        x_label="input z, copied to all coordinates",
        y_label="one coordinate",
        note=f"{config.num_draws:,} networks each",
        bands_are="Gaussian quantiles of both limits",
        one_scale=True,
    )


def moment_items(config: Config, results: Results) -> list[FigureItem]:
    """Deviations from the limit, of networks and equation; mean squares by layer."""
    network, equation = last(results["moments"]), equation_moments(config)
    limit, finite = (
        predicted(results["moments"], DOUBLE_LIMIT),
        predicted(results["moments"], "infinite_width"),
    )
    places = np.arange(len(limit))
    points = {
        "network": (places - 0.06, network.mean - limit, network.error),
        "equation (Euler)": (places + 0.06, equation.mean - limit, equation.error),
    }
    lines = {"infinite_width": (places, finite - limit)}
    title = "Network, equation, closed form"
    items = [
        plot_item(
            title,
            "Means at z = 0 and 1, variances and covariance. Line: the bias of finite depth.",
            di.plots.series,
            points,
            lines,
            x_label="entry ("
            + ", ".join(
                f"{k}: {name}"
                for k, name in enumerate(("mean 0", "mean 1", "var 0", "cov", "var 1"))
            )
            + ")",
            y_label="less the value of both limits",
            note=f"one coordinate at z = 0 and 1, width and depth {config.size}, "
            f"{config.num_draws:,} networks, {config.num_paths:,} paths",
        )
    ]
    title = "The bias of finite depth, resolved"
    caption = (
        "Mean square at z = 1, averaged over coordinates: infinite depth is rejected, infinite "
        "width at this depth is not."
    )
    items.append(
        plot_item(title, caption, di.plots.layers, results["overlaps"].dataset, component=2)
    )
    return items


def kernel_items(config: Config, results: Results) -> list[FigureItem]:
    """The table of kernels as curves: means by depth, variances by width; D = L."""
    depths, items, means, variances = np.array(config.table_depths), [], {}, {}
    first = config.table_widths[0]
    recursion = [
        predicted(results[f"table-w{first}-l{depth}"], "infinite_width")[0] for depth in depths
    ]
    for width in config.table_widths:
        columns = [last(results[f"table-w{width}-l{depth}"]) for depth in depths]
        means[f"D = {width}"] = (
            depths,
            [c.mean[0] for c in columns],
            [c.error[0] for c in columns],
        )
    for depth in depths:
        measured = [
            results[f"table-w{width}-l{depth}"].dataset.isel(layer=-1, component=2)
            for width in config.table_widths
        ]
        variances[f"L = {depth}"] = (
            config.table_widths,
            [float(one["variance"]) for one in measured],
            [float(one["variance_standard_error"]) for one in measured],
        )
    limit = np.full(depths.size, limit_kernels()[0])
    title = "Means of kernels move with the depth, not with the width"
    items.append(
        plot_item(
            title,
            "Tangent kernel of the weights between two inputs. Dashed: infinite width.",
            di.plots.series,
            means,
            {"infinite_width": (depths, recursion), "both limits": (depths, limit)},
            log_x=True,
            x_label="depth L",
            y_label=r"$K_W^{12}$",
            note=f"tanh, z = 1 and 2, {config.table_networks:,} networks per point",
        )
    )
    exact = [
        predicted(results[f"table-w{width}-l{depths[-1]}"], EXACT, "predicted_variance")[2]
        for width in config.table_widths
    ]
    title = "Variances of kernels move with the width"
    items.append(
        plot_item(
            title,
            "Variance of the mean square over networks. Line: exact at infinite depth.",
            di.plots.series,
            variances,
            {"infinite_depth": (config.table_widths, exact)},
            log_x=True,
            log_y=True,
            x_label="width D",
            y_label=r"variance of $q_1$",
            note=f"tanh, z = 1, {config.table_networks:,} networks per point",
        )
    )
    return [*items, square_item(config, results)]


def square_item(config: Config, results: Results) -> FigureItem:
    """Tangent kernels at D = L, with two standard deviations."""
    sizes, points, lines = np.array(config.squares), {}, {}
    recursion = np.array([predicted(results[f"square-{size}"], "infinite_width") for size in sizes])
    for entry, name in ((0, "weights"), (1, "biases")):
        columns = [last(results[f"square-{size}"]) for size in sizes]
        points[name] = (
            sizes,
            [c.mean[entry] for c in columns],
            [2.0 * c.variance[entry] ** 0.5 for c in columns],
        )
        lines[name] = (sizes, recursion[:, entry])
    title = "Tangent kernels of networks as deep as wide"
    weight, bias = limit_kernels()[:2]
    caption = f"Both limits: {weight:.4f} and {bias:.4f}. Depth sets the gap, width the spread."
    return plot_item(
        title,
        caption,
        di.plots.series,
        points,
        lines,
        log_x=True,
        x_label="width and depth D = L",
        y_label=r"$K_W^{12}$, $K_b$",
        lines_are="infinite width at this depth",
        note=f"tanh, z = 1 and 2, {config.square_networks:,} networks; bars: two deviations",
    )


def gradient_items(results: Results) -> list[FigureItem]:
    """Gradients by layer, determinant."""
    items = []
    for name, title in (
        ("gradients", "Gradients by layer are log-normal"),
        ("determinant", "The determinant of the Jacobian shrinks, whatever the width"),
    ):
        caption = "Mean and spread of the logarithm. Exact: at this width and infinite depth."
        items.append(plot_item(title, caption, di.plots.layers, results[name].dataset))
    return items
