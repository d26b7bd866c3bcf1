"""Figures of the experiment on lengths and volumes."""

from collections.abc import Mapping

import numpy as np

import deepinit as di
from deepinit.runs.experiment import CaseResult

from .cases import (
    LENGTH,
    NARROW_DEPTH,
    NARROW_OUTPUT,
    STRETCH,
    WITHOUT_EXACT_LAW,
    Config,
    middle,
    moment_layer,
)
from .remarks import (
    all_widths,
    deep_distance,
    deep_distribution,
    he_curves,
    limit_spread,
    measured,
    moment_table,
    predicted,
)


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
    from deepinit.runs.report import figure_item

    return figure_item(title, caption, drawing)


def bounds_figure(config: Config, results: Mapping[str, CaseResult]):
    """Everything that has been said of the mean length, against the measurement, on a logarithmic axis."""
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
    from deepinit.theory.lengths import HomogeneousNetwork, log_length_moments_by_layer

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
    return item("Lengths, areas, volumes", "Lines are exact at this width.", drawing)


def biases(config: Config, results: Mapping[str, CaseResult]):
    """The spread of the length over networks, with and without biases."""
    from deepinit.theory.lengths import (
        HomogeneousNetwork,
        circle_relative_variances_by_layer,
        length_moments_by_layer,
    )

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
    caption = "With large biases nearby points switch the same units: the curve is stretched as one tangent is, and averages less."
    return item("Biases", caption, drawing)


def spreads(config: Config, results: Mapping[str, CaseResult]):
    """Variance of the length against width: hidden layers fall like 1/width, few outputs keep a limit."""
    from deepinit.theory.lengths import circle_relative_variance

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
        lines[name] = (
            layer,
            predicted(result, "idealized" if law in WITHOUT_EXACT_LAW else "exact"),
        )
    drawing = di.plots.series(
        points,
        lines,
        x_label=r"layer $\ell$",
        y_label=f"mean of {STRETCH.symbol}",
        title="Other laws: exact where masks are fair coins and images Gaussian",
        note=f"width {config.law_width}, {config.num_point_seeds:,} networks each",
    )
    ends = ", ".join(name.replace("_", " ") for name in config.laws if name in WITHOUT_EXACT_LAW)
    caption = (
        f"No exact law for {ends}: their lines are those of Gaussian weights without biases."
        if ends
        else ""
    )
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
        "Curves through real images",
        caption,
        di.plots.curve_images(named, title="Length of curves between digits"),
    )
