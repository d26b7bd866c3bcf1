"""Figures of expected_length: means by depth, width, variance, shape and law."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import CaseResult, Results
from deepinit.runs.report import FigureItem, checks_item, figure_item
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    growth_threshold,
    log_length_moments_by_layer,
)

from .analysis import all_widths, he_curves, measured, predicted
from .cases import LENGTH, STRETCH, WITHOUT_EXACT_LAW, Config, middle
from .spread_figures import biases, deep_histogram, moments, spreads


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    n = middle(config)
    main = results[f"circle-w{n}"]
    items = [bounds_figure(config, results)]
    items += several_widths(config, results)
    items.append(
        figure_item(
            "Which theory holds",
            "Distance of every prediction from the measured mean, in standard errors. "
            "Beyond the threshold a prediction is rejected.",
            di.plots.residuals(
                main.dataset, title="Distance of every prediction from the measurement"
            ),
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
    caption = "One dot per layer. Idealized: Gaussian weights without biases, where no exact law "
    caption += "is known. Polygons are biased low."
    title, theories = "Every comparison with the exact law", ("exact", "idealized")
    return [*items, checks_item(results, title, caption, theories)]


def bounds_figure(config: Config, results: Results) -> FigureItem:
    """All predictions of the mean length, on a logarithmic axis."""
    n, depth = middle(config), config.depth
    main, polygon = results[f"circle-w{n}"], results.get(f"polygon-w{n}")
    layer = np.arange(1, depth + 1)
    points = {
        "measured by random tangents": (
            layer,
            measured(main).mean[:depth],
            measured(main).error[:depth],
        )
    }
    if polygon is not None:
        points["measured by polygon"] = (
            layer,
            measured(polygon).mean[:depth],
            measured(polygon).error[:depth],
        )
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
        "The measured mean follows the exact product of layer factors. The lower bound of Price & "
        "Tanner falls like pi^(-depth/2). The growth rate of Raghu et al. (constant 1 per layer) "
        "rises exponentially."
    )
    return figure_item("Length against depth, and the older bounds", caption, drawing)


def several_widths(config: Config, results: Results) -> list[FigureItem]:
    """Mean length against depth at every width, and the error of each prediction against width."""
    by_width = {
        width: (
            results[f"circle-w{width}"]
            .dataset.sel(theory=["exact", "infinite_width"])
            .isel(layer=slice(-1))
            .assign_attrs(label="circle"),
        )
        for width in config.widths
    }
    items = [
        figure_item(
            "Length against depth at several widths",
            "Lines are exact. Narrow networks lose length faster, like exp(-5/8 depth/width).",
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


def bias_by_width(
    config: Config, widths, drawn: list[CaseResult], routes, symbol: str
) -> FigureItem:
    """|predicted - measured| against width at the last hidden layer."""
    last = [
        (measured(result).mean[config.depth - 1], measured(result).error[config.depth - 1])
        for result in drawn
    ]
    drawing = di.plots.widths(
        widths,
        [mean for mean, _ in last],
        [error for _, error in last],
        {
            route: [predicted(result, route)[config.depth - 1] for result in drawn]
            for route in routes
        },
        label=symbol,
        note=f"layer {config.depth}",
    )
    caption = "Distance of each prediction from the measured mean. The grey band is not resolved."
    what = "a curve" if drawn[0].case.quantity is LENGTH else "one tangent"
    return figure_item(f"Error of every prediction against width, {what}", caption, drawing)


def collapse(results: Results) -> FigureItem:
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
        note="every hidden layer of every network with He's variance",
    )
    caption = (
        "Shapes, curves, biases and images matter by the sum of 1/width alone. "
        "Narrow layers lie below the line by the next order, -3/8 sum 1/n^2."
    )
    return figure_item("Unequal widths collapse", caption, drawing)


def growth(config: Config, results: Results) -> FigureItem:
    """Mean length against depth for several weight variances."""
    n, depth = middle(config), config.depth
    chosen = {
        2.0: results[f"circle-w{n}"],
        **{value: results[f"variance-{value:g}"] for value in config.weight_vars},
    }
    layer, points, lines = np.arange(1, depth + 1), {}, {}
    for value in sorted(chosen):
        name = f"weight variance {value:g}" + (" (He)" if value == 2.0 else "")
        points[name] = (
            layer,
            measured(chosen[value]).mean[:depth],
            measured(chosen[value]).error[:depth],
        )
        lines[name] = (layer, predicted(chosen[value])[:depth])
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"hidden layer $\ell$",
        y_label=f"mean of {LENGTH.symbol}",
        log_y=True,
        title=f"Length grows only above the weight variance {growth_threshold(n):.3f}",
        note=f"circle, width {n}",
    )
    caption = "Variances times fan_in. Growth needs more than He's 2, by 5/(2n) to first order."
    return figure_item("Growth by weight variance", caption, drawing)


def volumes(config: Config, results: Results) -> FigureItem:
    """ln of the stretch of frames of several dimensions."""
    n, depth = middle(config), config.depth
    layer, points, lines = np.arange(1, depth + 1), {}, {}
    for size in config.dimensions:
        name, result = f"d = {size}", results[f"volume-d{size}-w{n}"]
        points[name] = (layer, measured(result).mean[:depth], measured(result).error[:depth])
        lines[name] = (layer, predicted(result)[:depth])
    if 1 not in config.dimensions:
        logs = log_length_moments_by_layer(HomogeneousNetwork((n,) * (depth + 1), output=None))
        lines["d = 1, exact"] = (layer, 0.5 * np.asarray(logs.mean))
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"hidden layer $\ell$",
        y_label=f"mean of {STRETCH.symbol}",
        title="Areas and volumes shrink faster than lengths",
        note=f"width {n}, {config.num_point_seeds:,} networks each",
    )
    return figure_item("Lengths, areas, volumes", "Lines are exact at this width.", drawing)


def laws(config: Config, results: Results) -> FigureItem:
    """Mean ln |J u| of every law against its prediction."""
    layer, points, lines = np.arange(1, config.law_depth + 1), {}, {}
    for law in config.laws:
        result, name = results[law.replace("_", "-")], law.replace("_", " ")
        points[name] = (layer, measured(result).mean, measured(result).error)
        lines[name] = (
            layer,
            predicted(result, "idealized" if law in WITHOUT_EXACT_LAW else "exact"),
        )
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"layer $\ell$",
        y_label=f"mean of {STRETCH.symbol}",
        title="Other laws: exact for symmetric masks and Gaussian images",
        note=f"width {config.law_width}, {config.num_point_seeds:,} networks each",
    )
    ends = ", ".join(name.replace("_", " ") for name in config.laws if name in WITHOUT_EXACT_LAW)
    caption = (
        f"No exact law for {ends}: lines are for Gaussian weights without biases." if ends else ""
    )
    return figure_item("Other laws", caption or "All lines are exact.", drawing)


def images(results: Results) -> FigureItem:
    """Lines and circles through real images."""
    drawn = {
        name: (results[key].case.inputs.curve, results[key].dataset)
        for name, key in (("line", "image-line"), ("circle", "image-circle"))
    }
    named = {f"{curve.label}": (curve, data) for curve, data in drawn.values()}
    caption = (
        "A line between two MNIST digits and a circle through three. "
        "The exact mean holds; the scale is sqrt(n / 784)."
    )
    return figure_item(
        "Curves through real images",
        caption,
        di.plots.curve_images(named, title="Length of curves between digits"),
    )
