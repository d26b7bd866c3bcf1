"""Figures of trained networks and the kernels of their limit."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item

from .config import Config
from .trained_networks import chosen, curve, kernel_rates


def trained_items(config: Config, results: Results) -> list[FigureItem]:
    """Accuracy against D = L; accuracy against the epoch on coarse digits."""
    found = []
    if config.trained_sizes:
        caption = "Accuracy at the end. Bars: standard error over networks."
        found.append(
            figure_item("Networks trained in all layers", caption, sizes_figure(config, results))
        )
    if config.conv_sizes:
        caption = "Test accuracy during training. Bars: standard error over networks."
        found.append(figure_item("Convolutions", caption, epochs_figure(config, results)))
    return found


def sizes_figure(config: Config, results: Results):
    """Figure 6 of the paper: by optimizer, with the kernel's two accuracies as lines."""
    sizes = np.array(config.trained_sizes, float)
    points, how = {}, chosen(config)
    for place, (name, one) in enumerate(how.items()):
        ends = [curve(results[f"trained-{size}-{name}"]) for size in config.trained_sizes]
        beside = sizes * 1.04 ** (
            place - (len(how) - 1) / 2
        )  # points of one size would hide each other
        points[one.name] = (
            beside,
            np.array([e.mean[-1] for e in ends]),
            np.array([e.error[-1] for e in ends]),
        )
    ends = np.array([0.8 * sizes[0], 1.25 * sizes[-1]])
    lines = {
        name: (ends, np.full(2, rate))
        for name, rate in zip(
            ("kernel regression", "kernel, gradient flow"), kernel_rates(config), strict=True
        )
    }
    drawn = di.plots.series(
        points,
        lines,
        x_label="width and depth, D = L",
        y_label="test accuracy",
        log_x=True,
        title="Trained networks beside the kernel of their limit",
        note=f"{config.trained_on} images, {config.trained_epochs} epochs, "
        f"{config.trained_networks} networks per point",
    )
    axis = drawn.axes[0].xaxis
    axis.set_ticks(sizes, [str(size) for size in config.trained_sizes])
    axis.set_ticks([], minor=True)
    return drawn


def epochs_figure(config: Config, results: Results):
    """Convolutions against fully connected networks, a panel for every size."""
    panels = {}
    for size in config.conv_sizes:
        curves = {
            f"{label}, {one.name}": curve(results[f"{kind}-{size}-{name}"])
            for kind, label in (("conv", "convolutional"), ("coarse", "fully connected"))
            for name, one in chosen(config, convolutions=True).items()
        }
        points = {name: (one.epochs, one.mean, one.error) for name, one in curves.items()}
        panels[f"D = L = {size}"] = (
            points,
            {name: (one.epochs, one.mean) for name, one in curves.items()},
        )
    return di.plots.series_panels(
        panels,
        x_label="epoch",
        y_label="test accuracy",
        title="Convolutions and fully connected networks",
        note=f"{config.conv_side} x {config.conv_side} pixels, {config.trained_on} images, "
        f"{config.conv_networks} networks per curve",
        lines_are="",
    )
