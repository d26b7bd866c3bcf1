"""Figures of cutoff."""

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, checks_item, figure_item, plot_item
from deepinit.theory.cutoff import mean_field_cutoff, summary

from .analysis import curve, exact_curves, length_shift, overlap_shift, predicted, underflow_curves
from .cases import (
    ANGLE_AT_START,
    ONE_INPUT,
    START,
    TWO_INPUTS,
    UNDERFLOW_DEPTHS,
    Config,
    sweep_name,
)


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Figures of the report, in reading order."""
    checked = {name: result for name, result in results.items() if result.case.checked}
    return [
        *paper_items(config, results),
        *width_items(config, results),
        *underflow_items(config, results),
        *gain_items(config, results),
        *norm_items(config, results),
        *relaxation_items(config, results),
        checks_item(checked),
    ]


def survival_figure(
    results: Results,
    names: Mapping[str, str],
    lines: Mapping[str, np.ndarray] | None = None,
    **options,
):
    """Measured survival by label, with predicted lines, or connected points."""
    points = {}
    for label, name in names.items():
        errors = np.concatenate([[0.0], results[name].dataset["standard_error"].values[:, 0]])
        values = curve(results[name])
        points[label] = (np.arange(values.size), values, errors)
    drawn = {label: (np.arange(values.size), values) for label, values in (lines or {}).items()}
    if lines is None:
        drawn = {label: (x, y) for label, (x, y, _) in points.items()}
        options["lines_are"] = ""
    return di.plots.series(points, drawn, x_label="layer", y_label="survival", **options)


def note_of(config: Config) -> str:
    """The note of figures of truncated chains."""
    return f"values in multiples of {config.rho:g}, {config.num_paths:,} paths"


def paper_items(config: Config, results: Results) -> list[FigureItem]:
    """The paper's curves, and the exact chain."""
    names = {
        "tanh, width 1": "paper-tanh-w1",
        "tanh, width 2": "paper-tanh-w2",
        "swish, width 1": "paper-swish-w1",
    }
    one = results["paper-tanh-w1"]
    return [
        figure_item(
            "The paper's curves",
            "Survival of tanh networks of width 1 and 2, uniform weights, and of a swish "
            "network of width 1, normal weights.",
            survival_figure(results, names, title="The paper's three curves", note=note_of(config)),
        ),
        figure_item(
            "The exact chain",
            "At width 1 the law of every layer follows exactly from the layer before.",
            survival_figure(
                results,
                {"width 1": "paper-tanh-w1"},
                {"width 1": predicted(one, "exact")},
                title="Survival at width 1: measured and exact",
                note=note_of(config),
                lines_are="exact",
            ),
        ),
    ]


def width_items(config: Config, results: Results) -> list[FigureItem]:
    """Survival by width, by precision, of ReLU."""
    items = []
    for rounding in config.roundings:
        names = {f"width {width}": sweep_name(rounding, width) for width in config.widths}
        lines = {
            label: predicted(results[name], "exact" if label == "width 1" else "orbit")
            for label, name in names.items()
        }
        items.append(
            figure_item(
                f"The transition sharpens with the width ({rounding})",
                "All widths have one weight variance. Predicted from the orbit of the "
                "infinite-width mean map and the random walk of the length; exact at width 1.",
                survival_figure(
                    results, names, lines, title="Sharper with the width", note=note_of(config)
                ),
            )
        )
    items.append(
        figure_item(
            "The transition sharpens with the precision",
            "Exact survival at width 1 on finer grids, against layer / layer of half survival.",
            precision_figure(exact_curves(config)),
        )
    )
    if config.relu_widths:
        names = {f"width {width}": f"relu-w{width}" for width in config.relu_widths}
        items.append(
            figure_item(
                "ReLU",
                "At width 1 a signal dies with probability 1/2 per layer. "
                "Wide ReLU networks have a cut-off.",
                survival_figure(
                    results, names, title="ReLU has a cut-off once it is wide", note=note_of(config)
                ),
            )
        )
    return items


def precision_figure(exact: Mapping[float, np.ndarray]):
    """Exact curves on a common axis."""
    lines = {}
    for mesh, values in exact.items():
        x = np.arange(len(values)) / summary(values).t50
        lines[f"rho = {mesh:g}"] = (x[x < 2.5], values[x < 2.5])
    return di.plots.series(
        lines,
        lines,
        lines_are="",
        x_label="layer / layer at which half is lost",
        y_label="survival",
        title="Sharper with the precision",
        note="tanh, width 1, uniform weights, exact",
    )


def underflow_items(config: Config, results: Results) -> list[FigureItem]:
    """Survival under underflow, one figure a dtype."""
    items = []
    for dtype, depth in UNDERFLOW_DEPTHS.items() if config.underflow_widths else ():
        names = {
            f"width {width}": f"underflow-{dtype}-w{width}" for width in config.underflow_widths
        }
        lines = {
            f"width {width}": line for width, line in underflow_curves(config, depth, dtype).items()
        }
        name = "float32 and bfloat16" if dtype == "float32" else dtype
        items.append(
            figure_item(
                f"Underflow in {name}",
                "tanh networks with weights U(-1, 1) / sqrt(width), no biases, return exact "
                "zeros beyond this depth.",
                survival_figure(
                    results,
                    names,
                    lines,
                    title=f"Underflow is a cut-off: {name}",
                    note=f"{config.underflow_paths} paths or more",
                ),
            )
        )
    return items


def gain_items(config: Config, results: Results) -> list[FigureItem]:
    """Around the critical gain; metastable chains."""
    items = []
    if config.gain_width:
        names = {f"{ratio:g} times the critical gain": f"gain-{ratio:g}" for ratio in config.gains}
        figure = survival_figure(
            results,
            names,
            title="No sharp transition at the critical gain",
            note=f"tanh, width {config.gain_width}, {note_of(config)}",
        )
        caption = "Below the critical gain signals drift down; above it saturation holds them."
        items.append(figure_item("Around the critical gain", caption, figure))
    if config.metastable_widths:
        names = {f"width {width}": f"metastable-w{width}" for width in config.metastable_widths}
        title, note = (
            "Rounding to nearest keeps signals alive",
            "tanh, gain 1.15, rho = 1/2, nearest",
        )
        caption = "Survival falls exponentially in depth. The rate falls exponentially in width."
        items.append(
            figure_item(
                "Metastability", caption, survival_figure(results, names, title=title, note=note)
            )
        )
    return items


def norm_items(config: Config, results: Results) -> list[FigureItem]:
    """Norms and angles, layer by layer."""
    items = []
    for width in config.norm_widths[-1:]:
        for name, title in (
            (f"norm-critical-w{width}", "No drift at the critical gain"),
            (f"norm-relu-w{width}", "He weights: the norm drifts down"),
        ):
            caption = (
                "Mean and spread of log norm, exact at every width. Infinite width has no spread."
            )
            items.append(plot_item(title, caption, di.plots.layers, results[name].dataset))
    names = {"ordered": "Ordered phase: two inputs become one"}
    for width in config.relaxation_widths[:1]:
        names[f"chaotic-w{width}"] = "Chaotic phase: two inputs forget each other"
    for name, title in names.items():
        caption = "Angle between two inputs, layer by layer, and the infinite-width kernel's."
        items.append(plot_item(title, caption, di.plots.layers, results[name].dataset))
    return items


def relaxation_items(config: Config, results: Results) -> list[FigureItem]:
    """Total variation from the stationary law, of one input's length and two inputs' overlap."""
    items = []
    cosine = float(np.cos(ANGLE_AT_START))
    for name, shift_of, weight_var, start, what in (
        (
            "relaxing",
            length_shift,
            ONE_INPUT,
            {"mean_square": START},
            "One input forgets its length",
        ),
        ("chaotic", overlap_shift, TWO_INPUTS, {"cosine": cosine}, "Two inputs forget each other"),
    ):
        if config.relaxation_widths:
            figure = relaxation_figure(config, results, name, shift_of, weight_var, start, what)
            caption = (
                "Total variation of normal laws at the measured distance of means, and by the "
                "mean-field map. Wide networks forget later; the window does not shrink."
            )
            items.append(figure_item(what, caption, figure))
    return items


def relaxation_figure(config: Config, results: Results, name, shift_of, weight_var, start, title):
    """Measured and predicted total variation, by width."""
    points, lines = {}, {}
    for width in config.relaxation_widths:
        shift = shift_of(results[f"{name}-w{width}"])
        shown = np.arange(1, 1 + shift.size - 10)
        points[f"width {width}"] = (shown, 2.0 * ndtr(0.5 * shift[shown - 1]) - 1.0)
        fine = np.linspace(1.0, shown[-1], 200)
        law = mean_field_cutoff("tanh", weight_var, width, layers=fine, **start)
        lines[f"width {width}"] = (fine, law.total_variation)
    note = f"tanh, gain {weight_var**0.5:g}"
    return di.plots.series(
        points, lines, x_label="layer", y_label="total variation", title=title, note=note
    )
