"""Figures of single cases and entries: kurtosis, covariances, real digits, every check."""

import numpy as np

import deepinit as di

from .analysis import Results, covariances
from .cases import NAMES


def kurtosis_items(results: Results) -> list:
    """Excess kurtosis of preactivations by layer."""
    from deepinit.runs.report import figure_item

    found = []
    for activation in ("relu", "tanh"):
        result = results[f"kurtosis-{activation}"]
        title = f"Outputs are not Gaussian: excess kurtosis, {NAMES[activation]}, width {result.case.spec.widths[0]}"
        caption = (
            "Excess kurtosis over networks of the next layer's preactivations; 0 at infinite width."
        )
        found.append(figure_item(title, caption, di.plots.layers(result.dataset, title=title)))
    return found


def covariance_item(results: Results):
    """Measured against predicted covariances of kernel and tangent kernel."""
    from deepinit.runs.report import figure_item

    entries = covariances(results)
    points = {}
    for name, first, second in (
        ("kernel", "G", "G"),
        ("tangent kernel", "T", "T"),
        ("both", "T", "G"),
    ):
        own = [
            k
            for k, told in enumerate(entries.names)
            if told[0] == first and told.split()[1][0] == second
        ]
        points[name] = tuple(
            column[own] / entries.natural[own]
            for column in (entries.predicted, entries.measured, entries.error)
        )
    ends = np.array([np.min(entries.predicted / entries.natural), 1.0])
    spec = results["covariance-kernel"].case.spec
    title = "Covariances over networks, entry by entry"
    figure = di.plots.series(
        points,
        {"first_order": (ends, ends)},
        x_label="first order in 1/width, as a correlation",
        y_label="measured, in the same unit",
        title=title,
        note=f"tanh, width {spec.widths[0]}, depth {spec.depth}, two inputs",
    )
    return figure_item(
        title,
        "Every pair of entries (11), (12), (22), divided by the two first-order standard deviations; at infinite width all of them are 0.",
        figure,
    )


def image_items(results: Results) -> list:
    """Kernels of real digits, layer by layer."""
    from deepinit.runs.report import figure_item

    found = []
    for name, result in results.items():
        if name.startswith("images-kernel-"):
            data = result.dataset
            title = f"Kernel of real digits, {NAMES[name.rsplit('-', 1)[1]]}"
            caption = "Overlap of the first two digits, layer by layer: mean over networks, first order, infinite width."
            found.append(figure_item(title, caption, di.plots.layers(data, pair=1, title=title)))
    return found


def checked_item(results: Results):
    """The checks of single cases."""
    from deepinit.runs.report import figure_item

    chosen = {name: result.dataset for name, result in results.items() if result.case.checked}
    return figure_item(
        "Every check of a single case",
        "One dot a layer; a cross is outside the gate.",
        di.plots.z_panel(chosen),
    )
