"""Figures of expected_length: moments, variances and distributions over networks."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    circle_relative_variance,
    circle_relative_variances_by_layer,
    length_moments_by_layer,
)

from .analysis import deep_distance, deep_distribution, limit_spread, measured, moment_table
from .cases import NARROW_DEPTH, NARROW_OUTPUT, STRETCH, Config, middle, moment_layer


def moments(config: Config, results: Results) -> FigureItem:
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
    caption = "The Jacobian is constant along a ray, which has the moments of a point."
    return figure_item("Moments of the length", caption, drawing)


def biases(config: Config, results: Results) -> FigureItem:
    """The spread of the length over networks, with and without biases."""
    n, depth = middle(config), config.depth
    chosen = {"no biases": results[f"circle-w{n}"]}
    chosen |= {
        f"biases of standard deviation {std:g}": results[f"bias-{std:g}"]
        for std in config.bias_stds
    }
    layer, points = np.arange(1, depth + 1), {}
    for name, result in chosen.items():
        sd = np.sqrt(measured(result).spread[:depth])
        points[name] = (layer, sd, measured(result).spread_error[:depth] / (2.0 * sd))
    widths = (n,) * (depth + 1)
    first, second = (
        length_moments_by_layer(HomogeneousNetwork(widths, output=None), m) for m in (1, 2)
    )
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
    caption = "With large biases nearby points switch the same units: a curve averages less."
    return figure_item("Biases", caption, drawing)


def spreads(config: Config, results: Results) -> FigureItem:
    """Variance of the length against width: ~ 1/width in hidden layers, a limit at few outputs."""
    points, lines = {}, {}
    for layer in sorted({1, min(4, config.depth)}):
        name, drawn = (
            f"hidden layer {layer}",
            [measured(results[f"circle-w{width}"]) for width in config.widths],
        )
        columns = (
            [layers.spread[layer - 1] for layers in drawn],
            [layers.spread_error[layer - 1] for layers in drawn],
        )
        points[name] = (config.widths, *columns)
        lines[name] = (config.widths, circle_relative_variance(layer) / np.array(config.widths))
    if config.narrow_widths:
        narrow = [results[f"narrow-w{width}"] for width in config.narrow_widths]
        limit = limit_spread(narrow[0])
        name = f"{NARROW_OUTPUT} outputs of {NARROW_DEPTH} hidden layers"
        spread = [measured(result).spread[-1] for result in narrow]
        points[name] = (
            config.narrow_widths,
            spread,
            [measured(result).spread_error[-1] for result in narrow],
        )
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
        "Hidden layers: V/n, V from the angle process of the circle. Two outputs: infinite width "
        "(dashed) leaves a variance. The solid line adds the variance of the hidden length; the "
        "fluctuation of the kernel, also of order 1/n, is omitted."
    )
    return figure_item("Variance of the length against width", caption, drawing)


def deep_histogram(config: Config, results: Results) -> FigureItem:
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
    caption = "Exact density, by inversion of the characteristic function."
    return figure_item("Deep and narrow", caption, drawing)
