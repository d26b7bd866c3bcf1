"""Figures of kernel_corrections: slopes, collapse, range of first order."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, plot_item
from deepinit.theory.kernel_corrections import (
    criticality_class,
    deep_wide_kernel,
    deep_wide_ntk_ratio,
)

from .analysis import Cloud, in_range, kernel_cloud, named, tangent_cloud
from .case_figures import checked_item, covariance_item, image_items, kurtosis_items
from .cases import CRITICAL, GAINS, NAMES, Config, kernel_name, tangent_name

_ENTRY = 1  # of two inputs: the mixed one
_SHOWN = 4  # depths in one panel


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    return [
        slope_item(config, results, tangent=False),
        slope_item(config, results, tangent=True),
        collapse_item(config, results, tangent=False),
        collapse_item(config, results, tangent=True),
        range_item(config, results),
        error_item(config, results),
        *kurtosis_items(results),
        covariance_item(results),
        *image_items(results),
        checked_item(results),
    ]


def slope_item(config: Config, results: Results, *, tangent: bool) -> FigureItem:
    """Relative difference to infinite width against 1/width, by activation and depth."""
    depths = config.tangent_depths if tangent else config.shown_depths
    widths = config.tangent_widths if tangent else config.widths
    panels = {}
    for activation in config.activations:
        points, lines = {}, {}
        for depth in depths[-_SHOWN:]:
            row = 0 if tangent else depth - 1
            names = {
                width: tangent_name(activation, width, depth)
                if tangent
                else kernel_name(activation, width)
                for width in widths
            }
            by_width = in_range(results, names)
            found = list(by_width.values())
            limit = np.array(
                [named(result, "infinite_width").mean[row, _ENTRY] for result in found]
            )
            mean, error, first = (
                np.array(values)
                for values in zip(
                    *[
                        (
                            result.estimate.mean[row, _ENTRY],
                            result.estimate.standard_error[row, _ENTRY],
                            named(result, "first_order").mean[row, _ENTRY],
                        )
                        for result in found
                    ],
                    strict=True,
                )
            )
            x = 1.0 / np.array(list(by_width))
            points[f"depth {depth}"] = (x, 100 * (mean - limit) / limit, 100 * error / limit)
            ends = np.array([0.0, x.max()])
            lines[f"depth {depth}"] = (
                ends,
                ends / x.max() * 100 * ((first - limit) / limit)[np.argmax(x)],
            )
        panels[panel_name(activation)] = (points, lines)
    what = "tangent kernel" if tangent else "kernel"
    title = f"The {what} of two inputs: finite less infinite width against 1/width"
    caption = "Lines are first order. Points leave them where the next order of 1/width matters."
    return plot_item(
        title,
        caption,
        di.plots.series_panels,
        panels,
        x_label="1 / width",
        y_label="finite - infinite width, % of infinite width",
        note="mean over networks, entry (1, 2)",
        lines_are="first order in 1/width",
    )


def panel_name(activation: str) -> str:
    """Activation and gain."""
    weight_var, bias_var = GAINS[activation]
    biases = f", bias variance {bias_var:g}" if bias_var else ""
    return f"{NAMES[activation]}, weight variance {weight_var:.3g}{biases}"


def collapse_item(config: Config, results: Results, *, tangent: bool) -> FigureItem:
    """Relative variance against depth over width, critical activations."""
    panels = {}
    for activation in (name for name in config.activations if name in CRITICAL):
        cloud = (tangent_cloud if tangent else kernel_cloud)(config, results, activation)
        points = {}
        for width in np.unique(cloud.width):
            own = cloud.width == width
            order = np.argsort(cloud.ratio[own])
            columns = [column[own][order] for column in (cloud.ratio, cloud.value, cloud.error)]
            points[f"width {width}"] = tuple(column[shown_places(len(order))] for column in columns)
        panels[panel_name(activation)] = (
            points,
            collapse_lines(activation, cloud, tangent=tangent),
        )
    what = "tangent kernel" if tangent else "kernel"
    title = f"Fluctuations of the {what} depend on depth over width alone"
    caption = "Networks of every width fall on one curve. Lines: first order, and for ReLU the "
    caption += "law of depth and width to infinity together."
    return plot_item(
        title,
        caption,
        di.plots.series_panels,
        panels,
        x_label="depth / width",
        y_label="variance over networks / mean squared",
        log_x=True,
        log_y=True,
        note="critical gains, one input, all layers",
    )


def collapse_lines(activation: str, cloud: Cloud, *, tangent: bool) -> dict:
    """First order of the class at large depth; for ReLU the joint limit of depth and width."""
    limit = criticality_class(activation, *GAINS[activation])
    coefficient = limit.tangent_variance if tangent else limit.kernel_variance
    ratio = np.geomspace(cloud.ratio.min(), cloud.ratio.max(), 60)
    lines = {"first_order": (ratio, coefficient * ratio)}
    if activation == "relu":
        ratio = ratio[ratio <= 1.5]
        law = [
            deep_wide_ntk_ratio(activation, beta) - 1
            if tangent
            else np.expm1(deep_wide_kernel(activation, beta).variance)
            for beta in ratio
        ]
        lines["depth and width to infinity"] = (ratio, np.array(law))
    return lines


def shown_places(count: int) -> np.ndarray:
    """Indices of at most 14 points, evenly spaced on a logarithmic axis."""
    return np.unique(np.round(np.geomspace(1, count, 14)).astype(int)) - 1


def range_item(config: Config, results: Results) -> FigureItem:
    """Measured variance over first order against depth/width."""
    panels = {}
    for kind, cloud_of in (("kernel", kernel_cloud), ("tangent kernel", tangent_cloud)):
        points = {}
        for activation in config.activations:
            cloud = cloud_of(config, results, activation)
            order = np.argsort(cloud.ratio)
            ratio, value, error, first = (
                column[order]
                for column in (cloud.ratio, cloud.value, cloud.error, cloud.first_order)
            )
            places = shown_places(len(order))
            points[NAMES[activation]] = tuple(
                column[places] for column in (ratio, value / first, error / first)
            )
        panels[kind] = (
            points,
            {"first_order": (np.array([cloud.ratio.min(), ratio.max()]), np.ones(2))},
        )
    title = "Where first order stops being good"
    caption = "At critical gains the error depends on depth over width; off them (GELU) on both."
    return plot_item(
        title,
        caption,
        di.plots.series_panels,
        panels,
        x_label="depth / width",
        y_label="relative variance, measured / first order",
        log_x=True,
        log_y=True,
        note="one input",
    )


def error_item(config: Config, results: Results) -> FigureItem:
    """Error of first-order variances against width at fixed depth / width."""
    panels = {}
    for activation in (name for name in config.activations if name in ("relu", "tanh")):
        points = {}
        cloud = kernel_cloud(config, results, activation)
        for ratio in sorted({1 / 16, 1 / 8, 1 / 4, 1 / 2} & set(cloud.ratio.tolist())):
            own = cloud.ratio == ratio
            if own.sum() > 1:
                off = 100 * (cloud.value[own] / cloud.first_order[own] - 1)
                points[f"depth/width {ratio:g}"] = (
                    cloud.width[own],
                    off,
                    100 * cloud.error[own] / cloud.first_order[own],
                )
        if points:
            panels[panel_name(activation)] = (points, {})
    title = "The error of first order at fixed depth / width does not fall with width"
    return plot_item(
        title,
        "First order is an expansion in depth / width.",
        di.plots.series_panels,
        panels,
        x_label="width",
        y_label="measured / first-order variance - 1, %",
        log_x=True,
        note="kernel, one input",
    )
