"""Random functions of one number: draws with their quantiles, and correlations between values at two numbers as maps."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.similarities import DIVERGING, as_cosines
from deepinit.plots.style import (
    BLACK,
    BLUE,
    VERMILLION,
    add_legend,
    new_figure,
    panel_grid,
    set_title,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 6
MAX_FUNCTIONS = 8  # widths by two depths
LEVELS = (0.05, 0.5, 0.95)
_THREADS = 24  # draws that are drawn as lines


def function_draws(
    panels: Mapping[str, tuple[Any, Any]],
    bands: Mapping[str, Any] | None = None,
    *,
    x_label: str,
    y_label: str,
    title: str,
    note: str = "",
    bands_are: str = "predicted quantiles",
    one_scale: bool = False,
) -> "Figure":
    """Some draws of a random function as thin lines, the quantiles of all draws as dots, predicted quantiles as dashed lines: a panel for each law.

    Args:
        panels: name -> (x [points], draws [draws, points]); at most eight, from four on in two rows. Draws that are not finite somewhere are left out.
        bands: name -> (x [fine], quantiles [3, fine]), predicted 5 %, 50 % and 95 % quantiles of a panel.
        x_label, y_label: of the axes.
        title: the figure's message.
        note: what the data are, in words.
        bands_are: what the predicted quantiles are called.
        one_scale: the same y axis in all panels; each has its own otherwise.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than eight, shapes that do not fit, a band for a panel that is not there.
    """
    drawn = {name: _draws(name, *values) for name, values in panels.items()}
    lines = {name: _band(name, values, drawn) for name, values in (bands or {}).items()}
    if not 1 <= len(drawn) <= MAX_FUNCTIONS:
        raise SpecError(f"{len(drawn)} panels", f"1 to {MAX_FUNCTIONS}", "Choose a few laws.")
    with styled():
        across = len(drawn) if len(drawn) <= 3 else -(-len(drawn) // 2)  # as panel_grid has it
        fig = new_figure(3.4 * across + 1.2, 3.0 * -(-len(drawn) // across) + 1.1)
        axes = panel_grid(fig, len(drawn), x_label, y_label, shared="xy" if one_scale else "x")
        bounds = {name: _bounds(draws, lines.get(name)) for name, (_, draws) in drawn.items()}
        if one_scale:
            bounds = dict.fromkeys(
                bounds,
                np.array([min(b[0] for b in bounds.values()), max(b[1] for b in bounds.values())]),
            )
        for ax, (name, (x, draws)) in zip(axes, drawn.items(), strict=True):
            for thread in draws[:_THREADS]:
                ax.plot(x, thread, color="#9a9a9a", linewidth=0.6, alpha=0.7, zorder=2)
            ax.plot([], [], color="#9a9a9a", linewidth=0.6, label="single networks")
            quantiles = np.quantile(draws, LEVELS, axis=0)
            for values in quantiles:
                ax.plot(
                    x,
                    values,
                    "o",
                    color=BLUE,
                    markersize=3.8,
                    label="measured 5, 50, 95 % quantiles",
                    zorder=4,
                )
            for values in lines.get(name, (x, np.empty((0, x.size))))[1]:
                ax.plot(lines[name][0], values, "--", color=VERMILLION, label=bands_are, zorder=3)
            margin = 0.06 * float(np.ptp(bounds[name]) or 1.0)
            ax.set_ylim(bounds[name][0] - margin, bounds[name][1] + margin)
            ax.set_title(name)
        set_title(fig, title, note)
        entries = [
            entry for ax in axes for entry in zip(*ax.get_legend_handles_labels(), strict=True)
        ]
        add_legend(fig, [handle for handle, _ in entries], [text for _, text in entries])
    return fig


def _bounds(draws: np.ndarray, band: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Of a panel: single draws of heavy tails do not set the scale."""
    low, high = np.quantile(draws, (0.01, 0.99), axis=0)
    shown = np.concatenate([low, high, np.array([]) if band is None else band[1].ravel()])
    return np.array([np.nanmin(shown), np.nanmax(shown)])


def correlation_maps(
    panels: Mapping[str, tuple[Any, Any]], *, x_label: str, y_label: str, title: str, note: str = ""
) -> "Figure":
    """Correlations between a random function's values at two numbers as a colour over both, blue -1 to red 1: a map for each law.

    Args:
        panels: name -> (x [points], correlations [points, points]); at most six. What is not finite is grey.
        x_label, y_label: of the axes.
        title: the figure's message.
        note: what the data are, in words.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than six, what is no matrix of correlations, or has another size than x.
    """
    import matplotlib

    maps = {name: _map(name, *values) for name, values in panels.items()}
    if not 1 <= len(maps) <= MAX_PANELS:
        raise SpecError(f"{len(maps)} maps", f"1 to {MAX_PANELS}", "Choose a few laws.")
    with styled():
        across = 2 if len(maps) in (2, 4) else min(3, len(maps))
        down = -(-len(maps) // across)
        fig = new_figure(3.0 * across + 1.2, 3.0 * down + 0.8)
        grid = list(fig.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
        for ax in grid[len(maps) :]:
            ax.set_visible(False)
        colours = matplotlib.colormaps[DIVERGING].with_extremes(bad="#bdbdbd")
        for ax, (name, (x, correlations)) in zip(grid, maps.items(), strict=False):
            image = ax.pcolormesh(
                x,
                x,
                correlations,
                cmap=colours,
                vmin=-1.0,
                vmax=1.0,
                shading="nearest",
                rasterized=True,
            )
            lines = ax.contour(
                x,
                x,
                np.ma.masked_invalid(correlations),
                (-0.5, 0.0, 0.5, 0.9),
                colors=BLACK,
                linewidths=0.6,
            )
            ax.clabel(lines, fontsize=7.0)
            ax.set_aspect("equal")
            ax.grid(visible=False)
            ax.set_title(name)
        fig.supxlabel(x_label, fontsize=9.5)
        fig.supylabel(y_label, fontsize=9.5)
        bar = fig.colorbar(
            image, ax=grid[: len(maps)], ticks=[-1.0, -0.5, 0.0, 0.5, 1.0], aspect=25.0, pad=0.02
        )
        bar.set_label("correlation")
        bar.outline.set_visible(False)
        set_title(fig, title, note)
    return fig


def _draws(name: str, x: Any, draws: Any) -> tuple[np.ndarray, np.ndarray]:
    places, values = np.asarray(x, np.float64), np.asarray(draws, np.float64)
    if places.ndim != 1 or values.ndim != 2 or values.shape[1] != places.size or not places.size:
        raise SpecError(
            f"{name}: x {places.shape}, draws {values.shape}",
            "[points], [draws, points]",
            "One row a draw.",
        )
    values = values[np.isfinite(values).all(axis=1)]
    if not len(values):
        raise SpecError(f"{name}: no finite draw", "one or more", "Leave this law out.")
    return places, values


def _band(
    name: str, values: Sequence[Any], drawn: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    x, quantiles = (np.asarray(part, np.float64) for part in values)
    if name not in drawn or x.ndim != 1 or quantiles.shape != (len(LEVELS), x.size):
        raise SpecError(
            f"a band {quantiles.shape} for the panel {name!r}",
            f"(x [fine], quantiles [3, fine]) for one of {list(drawn)}",
            "Use the panels' names.",
        )
    return x, quantiles


def _map(name: str, x: Any, correlations: Any) -> tuple[np.ndarray, np.ndarray]:
    places, cosines = np.asarray(x, np.float64), as_cosines(name, correlations)
    if places.shape != (len(cosines),):
        raise SpecError(
            f"{name}: x {places.shape}", f"({len(cosines)},)", "One number a row of the map."
        )
    return places, cosines
