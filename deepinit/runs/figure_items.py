"""Figures of a report."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

MAX_SVG_CHARACTERS = 400_000


@dataclasses.dataclass(frozen=True)
class FigureItem:
    """A figure of the report: GIF if given, else SVG, PNG if large.

    Attributes:
        caption: the finding, in a sentence or two.
        svg, png: of `plots.to_svg`, `plots.to_png`.
        gif: of `plots.animate_orientations` or `plots.animate_similarities`.
    """

    title: str
    caption: str
    svg: str | None = None
    png: bytes | None = None
    gif: bytes | None = None


def figure_item(title: str, caption: str, figure: Any) -> FigureItem:
    """Figure as SVG, or PNG if too large."""
    from deepinit import plots

    svg = plots.to_svg(figure)
    if len(svg) <= MAX_SVG_CHARACTERS:
        return FigureItem(title, caption, svg=svg)
    return FigureItem(title, caption, png=plots.to_png(figure))


def plot_item(
    title: str, caption: str, plot: Callable[..., Any], *args: Any, **options: Any
) -> FigureItem:
    """Figure plot(*args, title=title, **options)."""
    return figure_item(title, caption, plot(*args, title=title, **options))


def checks_item(
    results: Mapping[str, Any],
    title: str = "Every check of this run",
    caption: str = "One dot per layer; a cross is beyond the threshold.",
    theories: Sequence[str] | None = None,
) -> FigureItem:
    """z-scores of the given results."""
    from deepinit import plots

    datasets = {name: result.dataset for name, result in results.items()}
    return figure_item(title, caption, plots.z_panel(datasets, routes=theories))
