"""Size, cosine and gradient by layer."""

from typing import Any

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, plot_item

from .cases import Config, models

_AXES = {
    "size": ("Root mean square by layer", "root mean square"),
    "cosine": ("Cosine of the two inputs by layer", "cosine"),
    "gradient": ("Gradient of the first output by layer", "ln |gradient|"),
}


def figures(config: Config, results: Results) -> list[FigureItem]:
    """One figure a quantity, one panel a model."""
    return [item(config, results, name) for name in _AXES if name in config.quantities]


def item(config: Config, results: Results, quantity: str) -> FigureItem:
    """Means, with standard deviations over draws as bars."""
    title, label = _AXES[quantity]
    panels: dict[str, Any] = {}
    for name, model in models(config).items():
        estimate = results[f"{name}-{quantity}"].estimate
        mean, spread = estimate.mean[:, 0], np.sqrt(estimate.variance[:, 0])
        if quantity == "size":
            mean, spread = np.sqrt(mean), spread / (2 * np.sqrt(mean))
        layers = np.arange(1, len(mean) + 1)
        panels[model.label] = ({"measured": (layers, mean, spread)}, {})
    caption = "Points: mean over draws; bars: standard deviation over draws. Layers in the order "
    caption += "of the table."
    return plot_item(
        title,
        caption,
        di.plots.series_panels,
        panels,
        x_label="layer",
        y_label=label,
        note="first input",
    )
