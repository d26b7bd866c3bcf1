"""Figures of transformers."""

import numpy as np

import deepinit as di
from deepinit.runs.experiment import Results
from deepinit.runs.report import FigureItem, figure_item, plot_item

from .analysis import collapse_line, depth_curve, heads_fit, heads_slope
from .cases import COLLAPSE_DEPTHS, Config, variants

PANELS = {"pre": "pre-norm", "post": "post-norm"}
KINDS = {"sqrt": "scores 1/sqrt(d)", "mup": "scores 1/d", "causal": "scores 1/sqrt(d), causal mask"}


def figures(config: Config, results: Results) -> list[FigureItem]:
    """Cosine and gradient with depth; rank collapse; heads."""
    items = []
    if variants(config):
        items += [cosines(config, results), gradients(config, results)]
    if config.collapse:
        items.append(collapse(config, results))
    return [*items, heads(config, results)] if config.law_heads else items


def cosines(config: Config, results: Results) -> FigureItem:
    """Mean token cosine against depth."""
    caption = (
        "Cosine of two tokens, mean over pairs and networks, with its standard error. Residual "
        "scale 1/sqrt(depth) keeps tokens apart; post-norm with scale 1 makes them equal."
    )
    title = "Similarity of tokens with depth"
    drawing = by_norm(config, results, "cosine", "mean token cosine", title)
    return figure_item(title, caption, drawing)


def gradients(config: Config, results: Results) -> FigureItem:
    """Gradient norm against depth."""
    caption = "Gradient of the last token's output by the tokens after every block."
    title = "Gradient norm with depth"
    label = r"$\ln |\partial f / \partial x_\ell|$"
    return figure_item(title, caption, by_norm(config, results, "gradient", label, title))


def by_norm(config: Config, results: Results, case: str, label: str, title: str):
    """A panel per kind of norm."""
    panels = {}
    for norm in config.norms:
        points = {
            variant.label: depth_curve(results[f"{case}-{variant.name}"], config.depth)
            for variant in variants(config)
            if variant.norm == norm
        }
        panels[PANELS[norm]] = points, {name: curve[:2] for name, curve in points.items()}
    return di.plots.series_panels(
        panels,
        x_label="block",
        y_label=label,
        title=title,
        note=f"width {config.width}, {config.heads} heads, {config.length} tokens, "
        f"{config.num_seeds} networks",
        lines_are="",
    )


def collapse(config: Config, results: Results) -> FigureItem:
    """ln(1 - cosine) against depth, without residuals."""
    points, lines = {}, {}
    for kind in config.collapse:
        curve = depth_curve(results[f"collapse-{kind}"], COLLAPSE_DEPTHS[kind])
        points[KINDS[kind]] = curve
        lines[KINDS[kind]] = collapse_law(config, kind, curve)
    title = "Rank collapse of attention without residuals"
    caption = (
        "Without a mask every layer cubes 1 - cos (line: infinite width); with a causal mask it "
        "divides it by 4 (line: uniform attention, from the middle layer on)."
    )
    return plot_item(
        title,
        caption,
        di.plots.series,
        points,
        lines,
        x_label="attention layer",
        y_label=r"mean of $\ln(1 - \cos)$",
        note=f"width {config.width}, {config.heads} heads, {config.length} tokens",
        lines_are="laws",
    )


def collapse_law(config: Config, kind: str, curve: tuple) -> tuple[np.ndarray, np.ndarray]:
    """The law's line; with a mask from the middle layer on."""
    layers, means, _ = curve
    line = collapse_line(config, kind)
    if kind != "causal":
        return layers, line
    start = len(layers) // 2
    return layers[start:], means[start] + line[start:] - line[start]


def heads(config: Config, results: Results) -> FigureItem:
    """Variance of the mean token cosine against 1/heads."""
    inverse = 1.0 / np.array(config.law_heads)
    estimates = [results[f"heads-{count}"].estimate for count in config.law_heads]
    variances = 1e4 * np.array([estimate.variance[0, 0] for estimate in estimates])
    errors = 1e4 * np.array([estimate.variance_standard_error[0, 0] for estimate in estimates])
    constant = 1e4 * heads_fit(config, results)[0][0]
    grid = np.linspace(0.0, inverse.max(), 50)
    slope = 1e4 * heads_slope(config.length, config.law_cosine)
    rival = 1e4 * heads_slope(config.length, config.law_cosine, queries="independent")
    title = "Variance of token cosines is inverse to the number of heads"
    caption = (
        "Heads are independent given the tokens. The predicted slope is exact for many wide heads; "
        "few heads lie below it by O(1/heads^2)."
    )
    return plot_item(
        title,
        caption,
        di.plots.series,
        {"measured": (inverse, variances, errors)},
        {
            "predicted slope": (grid, constant + slope * grid),
            "independent queries (wrong)": (grid, constant + rival * grid),
            "heads do not matter (wrong)": (grid, constant + 0 * grid),
        },
        x_label="1 / heads",
        y_label="10 000 x variance of the mean token cosine",
        note=f"width {config.law_width}, {config.length} tokens of cosine {config.law_cosine:g}, "
        f"{config.law_seeds} networks; intercept fitted",
    )
