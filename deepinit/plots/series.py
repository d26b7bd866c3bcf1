"""Measured points and predicted lines."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core import validate as core
from deepinit.core.errors import SpecError
from deepinit.plots import validate
from deepinit.plots.style import (
    BLACK,
    BLUE,
    GREEN,
    MEASURED_COLOURS,
    ORANGE,
    PURPLE,
    ROUTE_MARKERS,
    SKY,
    VERMILLION,
    RouteStyle,
    add_legend,
    new_figure,
    panel_grid,
    route_styles,
    set_title,
    spaced,
    styled,
)
from deepinit.plots.ticks import plain_numbers, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = dict[str, list[np.ndarray]]
SERIES_COLOURS = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
_DASHES = ("-", "-.", ":")


def series(
    points: Mapping[str, Sequence[Any]],
    lines: Mapping[str, Sequence[Any]] | None = None,
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "Measured and predicted",
    note: str = "",
    lines_are: str = "predicted",
) -> "Figure":
    """Points with error bars and lines.

    A line with the name of points shares their colour; others are routes.

    Args:
        points: name -> (x, y) or (x, y, standard error); non-finite values, and non-positive ones
            on logarithmic axes, are not drawn.
        lines: name -> (x, y), in increasing x.
        lines_are: label of lines with the names of points; empty for connecting lines.

    Raises SpecError: nothing to draw, or unequal lengths.
    """
    measured, predicted = _checked(points, lines)
    with styled():
        fig = new_figure()
        ax = fig.subplots()
        _draw(ax, measured, predicted, log_x=log_x, log_y=log_y)
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        shared = measured.keys() & predicted.keys()
        lines_note = f"lines: {lines_are}" if shared and lines_are else ""
        set_title(fig, title, "; ".join(filter(None, (note, lines_note))))
        add_legend(fig, [ax])
    return fig


def series_panels(
    panels: Mapping[str, tuple[Mapping[str, Sequence[Any]], Mapping[str, Sequence[Any]]]],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    title: str = "Measured and predicted",
    note: str = "",
    lines_are: str = "predicted",
) -> "Figure":
    """`series` in one to six panels, name -> (points, lines); a name has one colour in all.

    Raises SpecError: other panels, unequal lengths.
    """
    _check_mapping("panels", panels)
    validate.num_panels(len(panels))
    are_pairs = all(isinstance(both, tuple | list) and len(both) == 2 for both in panels.values())
    remedy = "Write ({...}, {}) without lines."
    core.require(are_pairs, "panels that are no pairs", "name -> (points, lines)", remedy)
    checked = {name: _checked(points, lines) for name, (points, lines) in panels.items()}
    points, lines = (
        [name for pair in checked.values() for name in pair[place]] for place in (0, 1)
    )
    styles = _styles(list(dict.fromkeys(points)), list(dict.fromkeys(lines)))
    with styled():
        across = len(checked) if len(checked) <= 3 else -(-len(checked) // 2)  # as in panel_grid
        fig = new_figure(3.4 * across + 1.2, 3.0 * -(-len(checked) // across) + 1.1)
        axes = panel_grid(fig, len(checked), x_label, y_label, shared="")
        for ax, (name, (measured, predicted)) in zip(axes, checked.items(), strict=True):
            _draw(ax, measured, predicted, log_x=log_x, log_y=log_y, styles=styles)
            ax.set_title(name)
        lines_note = f"lines: {lines_are}" if set(points) & set(lines) and lines_are else ""
        set_title(fig, title, "; ".join(filter(None, (note, lines_note))))
        add_legend(fig, axes)
    return fig


def _checked(
    points: Mapping[str, Sequence[Any]], lines: Mapping[str, Sequence[Any]] | None
) -> tuple[Columns, Columns]:
    _check_mapping("points", points)
    _check_mapping("lines", {} if lines is None else lines)
    measured = {name: _columns(name, values, (2, 3)) for name, values in points.items()}
    predicted = {name: _columns(name, values, (2,)) for name, values in (lines or {}).items()}
    drawn = measured or predicted
    core.require(drawn, "nothing to draw", "points, or lines", "Pass at least one series.")
    return measured, predicted


def _check_mapping(name: str, value: Any) -> None:
    core.instance(name, value, Mapping, "a mapping of names", 'Write {"name": (x, y), ...}.')


def _draw(
    ax: "Axes",
    measured: Columns,
    predicted: Columns,
    *,
    log_x: bool,
    log_y: bool,
    styles: Mapping[str, RouteStyle] | None = None,
) -> None:
    styles = _styles(list(measured), list(predicted)) if styles is None else styles
    for log, set_scale in ((log_x, ax.set_xscale), (log_y, ax.set_yscale)):
        if log:
            set_scale("log")
    for name, (x, y) in predicted.items():
        label = "_nolegend_" if name in measured else spaced(name)
        ax.plot(x, y, color=styles[name].colour, linestyle=styles[name].dash, label=label, zorder=3)
    for name, columns in measured.items():
        _draw_points(ax, name, columns, styles[name], log_y=log_y)
    if log_y:
        plain_numbers(ax.yaxis, *ax.get_ylim())
    if log_x:
        plain_numbers(ax.xaxis, *ax.get_xlim())
    x_values = [columns[0] for columns in (*measured.values(), *predicted.values())]
    whole_numbers(ax, x_values, log_x=log_x)


def _draw_points(
    ax: "Axes", name: str, columns: list[np.ndarray], style: RouteStyle, *, log_y: bool
) -> None:
    x, y = columns[:2]
    error = np.nan_to_num(columns[2]) if len(columns) == 3 else np.zeros_like(y)
    drawn = np.isfinite(y) & ((y > 0) | (not log_y))
    x, y, error = x[drawn], y[drawn], error[drawn]
    # On a logarithmic axis a bar that reaches 0 ends at a hundredth of its point.
    below = np.minimum(error, 0.99 * y) if log_y else error
    bars = ax.errorbar(
        x,
        y,
        yerr=[below, error],
        fmt=style.marker,
        color=style.colour,
        markersize=4.5,
        elinewidth=1.0,
        capsize=2.0,
        label=spaced(name),
        zorder=4,
    )
    bars.lines[0].set_markeredgewidth(0.0)


def _styles(points: list[str], lines: list[str]) -> dict[str, RouteStyle]:
    """Few points without lines are coloured as measurements."""
    shared = set(points) & set(lines)
    routes = route_styles(name for name in lines if name not in shared)
    plain = not shared and len(points) <= len(MEASURED_COLOURS)
    styles = dict(routes)
    if len(points) > len(SERIES_COLOURS):  # among many colours a line of its own is black
        styles = {
            name: RouteStyle(name, BLACK, style.dash, style.marker)
            for name, style in routes.items()
        }
    taken = {style.colour for style in styles.values()}
    free = tuple(colour for colour in SERIES_COLOURS if colour not in taken)
    colours = MEASURED_COLOURS if plain else free or SERIES_COLOURS
    for index, name in enumerate(points):
        round_number, place = divmod(index, len(colours))
        marker = ROUTE_MARKERS[(place + round_number) % len(ROUTE_MARKERS)]
        dash = _DASHES[round_number % len(_DASHES)]
        styles[name] = RouteStyle(name, colours[place], dash, marker)
    return styles


def _columns(name: str, values: Sequence[Any], counts: tuple[int, ...]) -> list[np.ndarray]:
    count = len(values) if isinstance(values, Sequence | np.ndarray) else 0
    texts = {2: "x [points], y [points]", 3: "x [points], y [points], standard error [points]"}
    if count not in counts:
        allowed = " or ".join(texts[number] for number in counts)
        raise SpecError(f"{name}: {count} columns", allowed, "Pass tuples of arrays.")
    return validate.shaped(name, texts[count], *values)
