"""Mean and spread by layer."""

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.plots.curves import Curves, Measured, read_curves
from deepinit.plots.style import (
    GREY,
    MEASURED_COLOURS,
    RouteStyle,
    add_legend,
    new_figure,
    panel_grid,
    route_styles,
    set_title,
    spaced,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_MARKERS = 40
THIN_DASHES = (0, (4, 3))
MEASURED_MARKERS = ("o", "s", "^")


def layers(
    *results: Any,
    component: int | str | None = None,
    title: str | None = None,
    symbol: str | None = None,
    spread: bool = True,
) -> "Figure":
    """Mean over networks by layer, measured and predicted.

    Error bars are one standard error, bands and thin dashed lines one standard deviation over
    networks.

    Args:
        results: Estimates and Predictions of one quantity, [layers, components]; one comparison
            Dataset; or one dictionary, name -> Estimate, Prediction or list of them, which names
            the curves.
        component: name or index (from 0); None draws up to six.
        spread: draw standard deviations; False for probabilities and many curves.

    Raises:
        SpecError: no results, several quantities, other shapes, no such component.
    """
    curves = read_curves(results, symbol)
    shown = curves.shown_components(component)
    with styled():
        fig, panels = _panels(len(shown), curves.position_label, curves.axis_label, shared="x")
        for ax, column in zip(panels, shown, strict=True):
            draw_means(ax, curves, column, spread)
            if len(shown) > 1:
                ax.set_title(curves.components[column])
        set_title(
            fig,
            title or f"{spaced(curves.quantity)}, {curves.axis} by {curves.axis}".capitalize(),
            curves.data_note(shown),
        )
        add_legend(fig, panels, legend_rank)
    return fig


def variance_layers(
    *results: Any,
    component: int | str | None = None,
    title: str | None = None,
    symbol: str | None = None,
) -> "Figure":
    """Standard deviation over networks by layer, measured and predicted.

    Its standard error is that of the variance over 2 sd. Arguments and errors: `layers`.
    """
    curves = read_curves(results, symbol)
    shown = curves.shown_components(component)
    with styled():
        fig, panels = _panels(
            len(shown),
            curves.position_label,
            f"standard deviation over networks of\n{curves.axis_label}",
        )
        styles = curve_styles(curves)
        for ax, column in zip(panels, shown, strict=True):
            for index, measured in enumerate(curves.measured):
                sd = np.sqrt(measured.variance[:, column])
                error = np.divide(
                    measured.variance_standard_error[:, column],
                    2.0 * sd,
                    out=np.full_like(sd, np.nan),
                    where=sd > 0,
                )
                colour = measured_colour(curves, index)
                draw_measured(ax, curves.layers, sd, error, measured.name, index, colour)
            for route in curves.predicted:
                sd = np.sqrt(route.variance[:, column])
                if np.isfinite(sd).any():
                    draw_line(ax, curves.layers, sd, styles[route.name])
            _layer_axis(ax, curves.layers)
            if len(shown) > 1:
                ax.set_title(curves.components[column])
        # panels share their scale; a spread of 0 is a line that can be seen
        panels[0].set_ylim(bottom=-0.02 * panels[0].get_ylim()[1])
        silent = [
            spaced(route.name)
            for route in curves.predicted
            if not np.isfinite(route.variance).any()
        ]
        note = [curves.data_note(shown)] if curves.data_note(shown) else []
        note += [f"no spread predicted by: {', '.join(silent)}"] if silent else []
        set_title(
            fig, title or f"Spread of {spaced(curves.quantity)} over networks", "; ".join(note)
        )
        add_legend(fig, panels, legend_rank)
    return fig


def draw_means(ax: "Axes", curves: Curves, column: int, spread: bool = True) -> None:
    """Means, standard errors and spreads."""
    styles = curve_styles(curves)
    for route in curves.predicted:
        style = styles[route.name]
        value, sd = route.value[:, column], np.sqrt(route.variance[:, column])
        draw_line(ax, curves.layers, value, style)
        if spread and np.isfinite(sd).any() and np.nanmax(sd) > 0.0:
            for edge in (value - sd, value + sd):
                _draw_edge(ax, curves.layers, edge, style)
            # all routes' edges share one entry of the legend, in grey
            ax.plot(
                [],
                [],
                color=GREY,
                linestyle=THIN_DASHES,
                linewidth=0.8,
                label="± predicted standard deviation",
            )
    for index, measured in enumerate(curves.measured):
        colour = measured_colour(curves, index)
        if spread:
            _draw_spread(ax, curves.layers, measured, column, colour)
        mean, error = measured.mean[:, column], measured.standard_error[:, column]
        draw_measured(ax, curves.layers, mean, error, measured.name, index, colour)
    _layer_axis(ax, curves.layers)


def curve_styles(curves: Curves) -> dict[str, RouteStyle]:
    """Style by prediction, in the colour of its group."""
    styles, colours = route_styles(curves.route_names), curves.group_colours
    for route in curves.predicted:
        if route.group:
            styles[route.name] = dataclasses.replace(
                styles[route.name], colour=colours[route.group]
            )
    return styles


def measured_colour(curves: Curves, index: int) -> str:
    """Colour of a measurement: its group's, or black and greys."""
    group = curves.measured[index].group
    return curves.group_colours[group] if group else MEASURED_COLOURS[index % len(MEASURED_COLOURS)]


def draw_measured(
    ax: "Axes",
    x: np.ndarray,
    y: np.ndarray,
    error: np.ndarray,
    name: str,
    index: int = 0,
    colour: str = MEASURED_COLOURS[0],
) -> None:
    """Markers with error bars, thinned for many layers."""
    step = math.ceil(len(x) / MAX_MARKERS)
    label = f"{spaced(name)} ± standard error" + (f" (every {_ordinal(step)})" if step > 1 else "")
    ax.errorbar(
        x[::step],
        y[::step],
        yerr=np.where(np.isfinite(error), error, 0.0)[::step],
        fmt=MEASURED_MARKERS[index % len(MEASURED_MARKERS)],
        color=colour,
        elinewidth=1.0,
        capsize=2.0,
        label=label,
        zorder=4,
    )


def draw_line(ax: "Axes", x: np.ndarray, y: np.ndarray, style: RouteStyle) -> None:
    """Line of a route; a dash for an isolated layer."""
    ax.plot(x, y, color=style.colour, linestyle=style.dash, label=spaced(style.name), zorder=3)
    alone = _isolated(y)
    if alone.any():
        ax.plot(
            x[alone],
            y[alone],
            linestyle="none",
            marker="_",
            markersize=18,
            color=style.colour,
            zorder=3,
        )


def _panels(
    count: int, x_label: str, y_label: str, *, shared: str = "xy"
) -> tuple["Figure", list[Any]]:
    fig = new_figure() if count <= 1 else new_figure(9.0, 3.9 if count <= 3 else 6.2)
    return fig, panel_grid(fig, count, x_label, y_label, shared=shared)


def _draw_spread(ax: "Axes", x: np.ndarray, measured: Measured, column: int, colour: str) -> None:
    mean, sd = measured.mean[:, column], np.sqrt(measured.variance[:, column])
    if not (np.isfinite(sd).any() and np.nanmax(sd) > 0.0):
        return
    label = "± standard deviation over networks"
    ax.fill_between(
        x, mean - sd, mean + sd, color=colour, alpha=0.12, linewidth=0.0, label=label, zorder=1
    )
    alone = _isolated(mean + sd)
    if alone.any():
        ax.vlines(
            x[alone],
            (mean - sd)[alone],
            (mean + sd)[alone],
            color=colour,
            alpha=0.12,
            linewidth=9.0,
            zorder=1,
        )


def _draw_edge(ax: "Axes", x: np.ndarray, y: np.ndarray, style: RouteStyle) -> None:
    ax.plot(x, y, color=style.colour, linestyle=THIN_DASHES, linewidth=0.8, zorder=2.5)
    alone = _isolated(y)
    if alone.any():
        ax.plot(
            x[alone],
            y[alone],
            linestyle="none",
            marker="_",
            markersize=12,
            markeredgewidth=0.8,
            color=style.colour,
        )


def _isolated(y: np.ndarray) -> np.ndarray:
    finite = np.isfinite(y)
    before, after = np.append(False, finite[:-1]), np.append(finite[1:], False)
    return finite & ~before & ~after


def _layer_axis(ax: "Axes", x: np.ndarray) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    if len(x) == 1:
        ax.set_xlim(x[0] - 1.0, x[0] + 1.0)
        ax.set_xticks([x[0]])


def legend_rank(label: str) -> int:
    """Order: measurements, their spread, routes, their spread."""
    order = {"± standard deviation over networks": 1, "± predicted standard deviation": 3}
    return order.get(label, 0 if "±" in label else 2)


def _ordinal(number: int) -> str:
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in (11, 12, 13) else suffix}"
