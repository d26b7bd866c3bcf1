"""Figures of finite_width."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, checks_item, plot_item

from .cases import KINDS, Config, case_name
from .tables import slopes

_PANELS = 4


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Shifts against 1/width, all comparisons."""
    names = config.networks
    groups = [names[start : start + _PANELS] for start in range(0, len(names), _PANELS)]
    items = [shift_item(config, results, group) for group in groups]
    caption = "One dot per layer and component; a cross is beyond the threshold."
    return [*items, checks_item(results, "Every comparison of this run", caption)]


def shift_item(config: Config, results: Results, names: tuple[str, ...]) -> FigureItem:
    """Width times the shift, which order 1/width says is constant."""
    widths, found = np.array(config.widths), slopes(config, results)
    panels = {}
    for name in names:
        parts = [results[case_name(name, width)] for width in config.widths]
        last = [part.dataset.isel(layer=-1) for part in parts]
        labels = [str(label) for label in last[0]["component"].values]
        own = [data.isel(component=labels.index(found[name].component)) for data in last]
        limit = float(own[0]["predicted"].sel(theory="infinite_width"))
        mean, error, plain, plain_error = (
            np.array([float(data[key]) for data in own])
            for key in ("mean", "standard_error", "plain_mean", "plain_standard_error")
        )
        beside = 1.0 / widths + 0.02 / widths.min()
        points = {
            "without": (beside, widths * (plain - limit), widths * plain_error),
            "with control variates": (1.0 / widths, widths * (mean - limit), widths * error),
        }
        ends = np.array([0.0, 1.0 / widths.min()])
        line = {"first_order": (ends, np.full(2, found[name].predicted))}
        panels[KINDS[name].label] = (points, line)
    title = "Width times (mean - infinite width) against 1/width"
    caption = "Order 1/width is the line. Points tend to it as 1/width tends to 0. "
    caption += "The same networks with and without control variates, side by side."
    return plot_item(
        title,
        caption,
        di.plots.series_panels,
        panels,
        x_label="1 / width",
        y_label="width x shift of the mean",
        note="last layer, component of the largest shift",
        lines_are="order 1/width",
    )
