"""Figures of resnet_diffusion: coupled networks, explosions, the convolution."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item, plot_item

from .analysis import DOUBLE_LIMIT
from .cases import BEYOND, EXPLODING, IMAGE, explosion_time
from .config import Config
from .limits import exploding_limit, last, predicted, strong_errors

LABELS = {"tanh": "tanh", "silu": "swish", "relu": "ReLU"}


def limit_items(config: Config, results: Results) -> list[FigureItem]:
    """Strong orders; explosion."""
    points, lines = {}, {}
    for activation, errors in strong_errors(config).items():
        order = errors.orders[0]
        name = f"{LABELS[activation]}: order {order:.2f}"
        points[name] = (errors.depths, errors.rms[:, 0], errors.standard_errors[:, 0])
        theory = 1.0 if activation == "tanh" else 0.5
        middle = np.exp(np.mean(np.log(errors.rms[:, 0])) + theory * np.mean(np.log(errors.depths)))
        lines[name] = (errors.depths, middle * errors.depths**-theory)
    title = "How fast a network tends to its diffusion"
    items = [
        plot_item(
            title,
            "Order 1 if phi''(0) = 0, order 1/2 otherwise.",
            di.plots.series,
            points,
            lines,
            log_x=True,
            log_y=True,
            x_label="depth L",
            y_label="root mean square distance",
            lines_are="order 1 for tanh, 1/2 for swish",
            note="width 10, z = 1, the same weights and biases, "
            f"{config.strong_networks} networks per depth",
        )
    ]
    points, lines = {}, {}
    for depth in config.exploding_depths:
        data = results[f"explosion-l{depth}"].dataset.isel(component=0)
        times = BEYOND * explosion_time(EXPLODING) * np.arange(1, depth + 1) / depth
        values = data["predicted"].sel(theory="infinite_width").values
        shown = np.unique(np.linspace(0, depth - 1, 16).astype(int))
        name = f"L = {depth}"
        points[name] = (
            times[shown],
            data["mean"].values[shown],
            data["standard_error"].values[shown],
        )
        lines[name] = (times, values)
    lines["both limits"] = exploding_limit()
    title = "Beyond the explosion time finite networks grow with their depth"
    return [
        *items,
        plot_item(
            title,
            "The limit is infinite at its explosion time; deeper networks follow it further.",
            di.plots.series,
            points,
            lines,
            x_label="time t = layer T / L",
            y_label=r"$\ln (|x_t| / |x_0|)$",
            lines_are="infinite width at this depth",
            note=f"swish, z = {EXPLODING:g}, width {2 * config.size}, horizon {BEYOND:g} times the "
            f"explosion time {explosion_time(EXPLODING):.3f}",
        ),
    ]


def convolution_item(config: Config, results: Results) -> FigureItem:
    """Overlaps of the positions of an image."""
    result, count = results["convolution"], len(IMAGE)
    column, places = last(result), np.arange(count)
    figure = di.plots.series(
        {"measured": (places, column.mean[:count], column.error[:count])},
        {
            "infinite_width": (places, predicted(result, "infinite_width")[:count]),
            "double limit": (places, predicted(result, DOUBLE_LIMIT)[:count]),
        },
        x_label="position p",
        y_label=r"$\Lambda_{0p}$",
        title="Overlaps between the positions of an image",
        note=f"{config.channels} channels, {config.convolution_depth} layers, patches of 3, "
        f"{config.convolution_networks:,} networks",
    )
    return figure_item(
        "A convolutional network",
        "Second moments of one position with all others at the last layer.",
        figure,
    )
