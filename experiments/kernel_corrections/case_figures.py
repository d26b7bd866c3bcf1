"""Figures of single cases: kurtosis, covariances, real digits, checks."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, checks_item, plot_item

from .analysis import covariances
from .cases import NAMES


def kurtosis_items(results: Results) -> list[FigureItem]:
    """Excess kurtosis of preactivations by layer."""
    found = []
    for activation in ("relu", "tanh"):
        result = results[f"kurtosis-{activation}"]
        width = result.case.spec.widths[0]
        title = f"Outputs are not Gaussian: excess kurtosis, {NAMES[activation]}, width {width}"
        caption = (
            "Excess kurtosis of the next layer's preactivations over networks; 0 at infinite width."
        )
        found.append(plot_item(title, caption, di.plots.layers, result.dataset))
    return found


def covariance_item(results: Results) -> FigureItem:
    """Measured against predicted covariances of kernel and tangent kernel."""
    entries = covariances(results)
    points = {}
    for panel, first, second in (
        ("kernel", "G", "G"),
        ("tangent kernel", "T", "T"),
        ("both", "T", "G"),
    ):
        own = [
            k
            for k, name in enumerate(entries.names)
            if name[0] == first and name.split()[1][0] == second
        ]
        points[panel] = tuple(
            column[own] / entries.natural[own]
            for column in (entries.predicted, entries.measured, entries.error)
        )
    ends = np.array([np.min(entries.predicted / entries.natural), 1.0])
    spec = results["covariance-kernel"].case.spec
    title = "Covariances over networks, entry by entry"
    return plot_item(
        title,
        "Covariances between kernel entries, normalized by first-order standard deviations. "
        "All vanish at infinite width.",
        di.plots.series,
        points,
        {"first_order": (ends, ends)},
        x_label="first order in 1/width, as a correlation",
        y_label="measured, in the same unit",
        note=f"tanh, width {spec.widths[0]}, depth {spec.depth}, two inputs",
    )


def image_items(results: Results) -> list[FigureItem]:
    """Kernels of real digits, layer by layer."""
    found = []
    for name, result in results.items():
        if name.startswith("images-kernel-"):
            data = result.dataset
            title = f"Kernel of real digits, {NAMES[name.rsplit('-', 1)[1]]}"
            caption = (
                "Overlap of the first two digits: mean over networks, first order, infinite width."
            )
            found.append(plot_item(title, caption, di.plots.layers, data, component=1))
    return found


def checked_item(results: Results) -> FigureItem:
    """The checks of single cases."""
    checked = {name: result for name, result in results.items() if result.case.checked}
    return checks_item(checked, "Every check of a single case")
