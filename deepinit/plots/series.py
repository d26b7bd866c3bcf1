"""Measured points and predicted lines against any axis: several cases in one plot."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
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
    styled,
    words,
)
from deepinit.plots.ticks import plain_numbers, whole_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 6
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
    """Points with error bars and lines, in one plot.

    A line named as a series of points is the prediction for it and shares its colour; it has no entry of its own in the legend.
    Other lines are routes, with the colours that they have in every figure.

    Args:
        points: name -> (x, y) or (x, y, standard error), each [points]. What is not finite is not drawn, nor on a
            logarithmic axis what is not positive.
        lines: name -> (x, y), in increasing x.
        x_label, y_label: of the axes, in words or mathtext.
        log_x, log_y: logarithmic axes.
        title: the figure's message.
        note: what the data are, in words.
        lines_are: what lines named as points are; empty for lines that only connect the points.

    Returns:
        A matplotlib Figure, 7 x 4.5 inches.

    Raises:
        SpecError: nothing to draw, or lengths that differ.
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
        add_legend(fig, *ax.get_legend_handles_labels())
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
    """`series` in several panels of one figure; a name has one colour in all of them.

    Args:
        panels: name -> (points, lines) as for `series`; at most six.
        x_label, y_label, log_x, log_y, title, note, lines_are: as for `series`.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than six, an empty one, lengths that differ.
    """
    _check_mapping("panels", panels)
    if not 1 <= len(panels) <= MAX_PANELS:
        raise SpecError(f"{len(panels)} panels", f"1 to {MAX_PANELS}", "Choose a few.")
    if not all(isinstance(both, tuple | list) and len(both) == 2 for both in panels.values()):
        raise SpecError(
            "panels that are no pairs",
            "name -> (points, lines)",
            "Write ({...}, {}) without lines.",
        )
    checked = {name: _checked(points, lines) for name, (points, lines) in panels.items()}
    points, lines = (
        [name for pair in checked.values() for name in pair[place]] for place in (0, 1)
    )
    styles = _styles(list(dict.fromkeys(points)), list(dict.fromkeys(lines)))
    with styled():
        across = (
            len(checked) if len(checked) <= 3 else -(-len(checked) // 2)
        )  # as panel_grid has it
        fig = new_figure(3.4 * across + 1.2, 3.0 * -(-len(checked) // across) + 1.1)
        axes = panel_grid(fig, len(checked), x_label, y_label, shared="")
        for ax, (name, (measured, predicted)) in zip(axes, checked.items(), strict=True):
            _draw(ax, measured, predicted, log_x=log_x, log_y=log_y, styles=styles)
            ax.set_title(name)
        lines_note = f"lines: {lines_are}" if set(points) & set(lines) and lines_are else ""
        set_title(fig, title, "; ".join(filter(None, (note, lines_note))))
        entries = {
            text: handle
            for ax in axes
            for handle, text in zip(*ax.get_legend_handles_labels(), strict=True)
        }
        add_legend(fig, list(entries.values()), list(entries))
    return fig


def _checked(
    points: Mapping[str, Sequence[Any]], lines: Mapping[str, Sequence[Any]] | None
) -> tuple[Columns, Columns]:
    _check_mapping("points", points)
    _check_mapping("lines", {} if lines is None else lines)
    measured = {name: _columns(name, values, (2, 3)) for name, values in points.items()}
    predicted = {name: _columns(name, values, (2,)) for name, values in (lines or {}).items()}
    if not measured and not predicted:
        raise SpecError("nothing to draw", "points, or lines", "Pass at least one series.")
    return measured, predicted


def _check_mapping(name: str, given: Any) -> None:
    if not isinstance(given, Mapping):
        raise SpecError(
            f"{name} of type {type(given).__name__}",
            "a mapping of names",
            'Write {"name": (x, y), ...}.',
        )


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
        label = "_nolegend_" if name in measured else words(name)
        ax.plot(x, y, color=styles[name].colour, linestyle=styles[name].dash, label=label, zorder=3)
    for name, columns in measured.items():
        _draw_points(ax, name, columns, styles[name], log_y=log_y)
    if log_y:
        plain_numbers(ax.yaxis, *ax.get_ylim())
    if log_x:
        plain_numbers(ax.xaxis, *ax.get_xlim())
    whole_numbers(
        ax, [columns[0] for columns in (*measured.values(), *predicted.values())], log_x=log_x
    )


def _draw_points(
    ax: "Axes", name: str, columns: list[np.ndarray], style: RouteStyle, *, log_y: bool
) -> None:
    x, y = columns[:2]
    error = np.nan_to_num(columns[2]) if len(columns) == 3 else np.zeros_like(y)
    drawn = np.isfinite(y) & ((y > 0) | (not log_y))
    x, y, error = x[drawn], y[drawn], error[drawn]
    # on a logarithmic axis a bar that reaches 0 would leave the figure: it ends at a hundredth of its point
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
        label=words(name),
        zorder=4,
    )
    bars.lines[0].set_markeredgewidth(0.0)


def _styles(points: list[str], lines: list[str]) -> dict[str, RouteStyle]:
    """Points in the colours of measurements if they are few and the lines are routes; else each in a colour of its own."""
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
    colours = (
        MEASURED_COLOURS
        if plain
        else tuple(colour for colour in SERIES_COLOURS if colour not in taken)
    )
    colours = colours or SERIES_COLOURS  # only with as many routes as colours
    for index, name in enumerate(points):
        round_number, place = divmod(index, len(colours))
        marker = ROUTE_MARKERS[(place + round_number) % len(ROUTE_MARKERS)]
        styles[name] = RouteStyle(
            name, colours[place], _DASHES[round_number % len(_DASHES)], marker
        )
    return styles


def _columns(name: str, values: Sequence[Any], counts: tuple[int, ...]) -> list[np.ndarray]:
    found = (
        [validate.real_numbers(value) for value in values]
        if isinstance(values, Sequence | np.ndarray)
        else []
    )
    columns = [column for column in found if column is not None]
    fits = (
        len(columns) == len(found)
        and len(columns) in counts
        and all(column.ndim == 1 and column.shape == columns[0].shape for column in columns)
    )
    if not (fits and columns[0].size):
        wanted = " or ".join({2: "(x, y)", 3: "(x, y, standard error)"}[count] for count in counts)
        raise SpecError(
            f"{name}: {len(columns)} columns of shapes {[column.shape for column in columns]}",
            f"{wanted} of one length, not empty",
            "Give every point its place and its value.",
        )
    return columns
