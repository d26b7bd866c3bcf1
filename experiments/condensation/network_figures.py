"""Figures of condensation: deep networks, images, the phase diagram, linearization."""

import numpy as np

import deepinit as di
from deepinit.core.result_views import with_error
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item

from .analysis import chosen, departure, ordered_similarities, phase_slopes, weights
from .cases import points, scale_name
from .config import Config


def layer_figures(results: Results) -> list[FigureItem]:
    """Deep networks, and networks on images, layer by layer."""
    items = []
    for name, result in chosen(results, "deep-").items():
        if name.endswith("-residual"):
            continue
        panels = {}
        for label, one in (("", result), ("residual, ", results[f"{name}-residual"])):
            for layer in one.estimate.entries or ():
                panels[f"{label}{layer}"] = ordered_similarities(weights(one, layer)[-1])
        drawing = di.plots.similarities(
            panels,
            title=f"Cosine similarity of input weights, five hidden layers of {name[5:]}",
            note="one network, Adam",
            columns=5,
        )
        caption = "First row: without, second row: with residual connections. Targets have mean 0."
        items.append(figure_item(f"Deep networks: {name[5:]}", caption, drawing))
    if "cnn" in results:
        result = results["cnn"]
        panels = {
            f"{layer}, {when}": weights(result, layer)[record]
            for layer in ("filters", "hidden")
            for when, record in (("step 0", 0), ("at the end", -1))
        }
        drawing = di.plots.similarities(
            {name: ordered_similarities(vectors) for name, vectors in panels.items()},
            title="A convolutional network of flax on MNIST digits",
            note="one network, cross-entropy, Adam",
            columns=2,
        )
        caption = (
            "Cosine similarities of filters and of dense units, at initialization and at the end."
        )
        items.append(figure_item("Images: a convolutional network", caption, drawing))
    if "resnet-condensed" in results:
        items.append(residual_figure(results))
    return items


def residual_figure(results: Results) -> FigureItem:
    """Does condensed initialization cost accuracy?"""
    lines = {}
    for kind in ("condensed", "glorot"):
        data = results[f"resnet-{kind}"].dataset
        test = data.isel(component=1)
        lines[f"{kind}, test set"] = (
            data["step"].values,
            test["mean"].values,
            test["standard_error"].values,
        )
    drawing = di.plots.series(
        lines,
        {name: curve[:2] for name, curve in lines.items()},
        lines_are="",
        x_label="training step",
        y_label="accuracy",
        title="A residual network of flax on MNIST digits: two dense initializations",
        note="500 training digits, Adam",
    )
    ends = [f"{name}: {with_error(y[-1], error[-1])}" for name, (_, y, error) in lines.items()]
    caption = (
        f"Condensed (variance m^-3) against Glorot initialization. At the end {', '.join(ends)}."
    )
    return figure_item("Images: a residual network", caption, drawing)


def phase_figure(config: Config, results: Results) -> FigureItem:
    """Measured exponents and the predicted boundary."""
    slopes = phase_slopes(config, results)
    drawing = di.plots.phase_diagram(
        np.array(points(config)),
        [slope for slope, _ in slopes],
        [error for _, error in slopes],
        boundary=lambda gamma_prime: 1.0 + max(0.0, gamma_prime),
        regimes={"linear": (0.6, 0.45), "condensed": (2.0, -0.2)},
        exponent_label="exponent of the width in the relative distance",
        title="When weights condense: the phase diagram",
        note=f"tanh, loss drop 10 %, widths {config.phase_widths[0]} and {config.phase_widths[-1]}",
    )
    caption = (
        "Exponent of |W - W(0)| / |W(0)|: above 0 weights condense. Line: the predicted boundary."
    )
    return figure_item("Phase diagram", caption, drawing)


def scale_figures(config: Config, results: Results) -> list[FigureItem]:
    """Training against its linearization, from lazy to condensed."""
    every = {f"variance width^-{gamma:g}": results[scale_name(gamma)] for gamma in config.scales}
    shown = dict(list(every.items())[:: max(1, len(every) // 4)])
    measured, lazy = {}, {}
    for name, result in shown.items():
        data = result.dataset.isel(component=0)
        limit = data["predicted"].sel(theory="infinite_width").values
        inside, start = data["step"].values > 0, limit[0]
        x = data["step"].values[inside]
        columns = (data[column].values[inside] for column in ("mean", "standard_error"))
        measured[name] = (x, *(column / start for column in columns))
        lazy[name] = (x, limit[inside] / start)
    curves = di.plots.series(
        measured,
        lazy,
        x_label="training step",
        y_label="loss / initial loss",
        log_x=True,
        title="Training against its linearization",
        note=f"tanh, width {config.scale_width}, prediction by neural-tangents",
    )
    departures = di.plots.series(
        {
            "largest departure": (
                list(config.scales),
                *zip(*map(departure, every.values()), strict=True),
            )
        },
        x_label="gamma: weights of variance width^-gamma",
        y_label="|loss - linearized loss| / initial loss",
        title="The tangent kernel fails at small initialization",
        note=f"tanh, width {config.scale_width}, largest value in the run",
    )
    return [
        figure_item(
            "Finite against infinite width in training",
            "Measured loss (points) and the linearized network of infinite width (lines), from the "
            "scale of the tangent kernel (gamma = 0.5) to condensation (gamma > 1).",
            curves,
        ),
        figure_item(
            "Departure from the linearization",
            "Largest departure against the scale of the initialization.",
            departures,
        ),
    ]
