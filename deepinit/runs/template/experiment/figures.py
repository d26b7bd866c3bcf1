"""Figures of the report: a title, a caption with one message, a picture."""

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, plot_item

from .cases import Config


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Mean and spread by layer, measured and predicted; one figure a case."""
    caption = "Mean of the log norm by layer. Bands: standard deviation over networks."
    return [
        plot_item(f"Size of the signal, {name}", caption, di.plots.layers, result.dataset)
        for name, result in results.items()
    ]
