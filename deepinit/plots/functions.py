"""Random functions of one variable: draws, correlations."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots import validate
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

MAX_FUNCTIONS = 8  # widths by two depths
LEVELS = (0.05, 0.5, 0.95)
_NUM_LINES = 24  # draws shown as lines


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
    """Draws of random functions, with measured and predicted quantiles.

    Args:
        panels: one to eight, name -> (x [points], draws [draws, points]); draws with non-finite
            values are left out.
        bands: name -> (x [fine], predicted 5 %, 50 %, 95 % quantiles [3, fine]).
        bands_are: label of the bands.
        one_scale: share the y axis.

    Raises SpecError: other shapes or panels.
    """
    drawn = {name: _draws(name, *values) for name, values in panels.items()}
    lines = {name: _band(name, values, drawn) for name, values in (bands or {}).items()}
    validate.num_panels(len(drawn), MAX_FUNCTIONS)
    with styled():
        across = len(drawn) if len(drawn) <= 3 else -(-len(drawn) // 2)  # as panel_grid has it
        fig = new_figure(3.4 * across + 1.2, 3.0 * -(-len(drawn) // across) + 1.1)
        axes = panel_grid(fig, len(drawn), x_label, y_label, shared="xy" if one_scale else "x")
        bounds = {name: _bounds(draws, lines.get(name)) for name, (_, draws) in drawn.items()}
        if one_scale:
            lows, highs = np.transpose(list(bounds.values()))
            bounds = dict.fromkeys(bounds, np.array([lows.min(), highs.max()]))
        for ax, (name, (x, draws)) in zip(axes, drawn.items(), strict=True):
            for draw in draws[:_NUM_LINES]:
                ax.plot(x, draw, color="#9a9a9a", linewidth=0.6, alpha=0.7, zorder=2)
            ax.plot([], [], color="#9a9a9a", linewidth=0.6, label="single networks")
            quantiles = np.quantile(draws, LEVELS, axis=0)
            label = "measured 5, 50, 95 % quantiles"
            for values in quantiles:
                ax.plot(x, values, "o", color=BLUE, markersize=3.8, label=label, zorder=4)
            for values in lines.get(name, (x, np.empty((0, x.size))))[1]:
                ax.plot(lines[name][0], values, "--", color=VERMILLION, label=bands_are, zorder=3)
            margin = 0.06 * float(np.ptp(bounds[name]) or 1.0)
            ax.set_ylim(bounds[name][0] - margin, bounds[name][1] + margin)
            ax.set_title(name)
        set_title(fig, title, note)
        add_legend(fig, axes)
    return fig


def _bounds(draws: np.ndarray, band: tuple[np.ndarray, np.ndarray] | None) -> np.ndarray:
    """Range by quantiles, for heavy tails."""
    low, high = np.quantile(draws, (0.01, 0.99), axis=0)
    shown = np.concatenate([low, high, np.array([]) if band is None else band[1].ravel()])
    return np.array([np.nanmin(shown), np.nanmax(shown)])


def correlation_maps(
    panels: Mapping[str, tuple[Any, Any]], *, x_label: str, y_label: str, title: str, note: str = ""
) -> "Figure":
    """Correlations of a random function at two points.

    `panels`: one to six, name -> (x [points], correlations [points, points]); blue -1, red 1, grey
    not finite.
    Raises SpecError: other shapes or values.
    """
    import matplotlib

    maps = {name: _map(name, *values) for name, values in panels.items()}
    validate.num_panels(len(maps), name="maps")
    with styled():
        across = 2 if len(maps) in (2, 4) else min(3, len(maps))
        down = -(-len(maps) // across)
        fig = new_figure(3.0 * across + 1.2, 3.0 * down + 0.8)
        grid = list(fig.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
        for ax in grid[len(maps) :]:
            ax.set_visible(False)
        colours = matplotlib.colormaps[DIVERGING].with_extremes(bad="#bdbdbd")
        for ax, (name, (x, correlations)) in zip(grid, maps.items(), strict=False):
            settings: Any = {"shading": "nearest", "rasterized": True, "vmin": -1.0, "vmax": 1.0}
            image = ax.pcolormesh(x, x, correlations, cmap=colours, **settings)
            masked, levels = np.ma.masked_invalid(correlations), (-0.5, 0.0, 0.5, 0.9)
            lines = ax.contour(x, x, masked, levels, colors=BLACK, linewidths=0.6)
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
    pattern = "x [points], draws [draws, points]"
    places, values = validate.shaped(name, pattern, x, draws, least=0)
    values = values[np.isfinite(values).all(axis=1)]
    if not values.size:
        raise SpecError(f"{name}: no finite draw", "one or more", "Leave this law out.")
    return places, values


def _band(
    name: str, values: Sequence[Any], drawn: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    validate.known("a band", [name], list(drawn))
    x, quantiles = validate.shaped(name, "x [fine], quantiles [3, fine]", *values)
    return x, quantiles


def _map(name: str, x: Any, correlations: Any) -> tuple[np.ndarray, np.ndarray]:
    pattern = "x [points], correlations [points, points]"
    places, cosines = validate.shaped(name, pattern, x, correlations)
    return places, as_cosines(name, cosines)
