"""Orientations of neurons as angles: how large they are by angle, and how their angles move in training."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.directions import (
    DOTS,
    PREDICTED_COLOUR,
    PREDICTED_LABEL,
    check_panels,
    entries_of,
    pair_of,
    per_panel,
)
from deepinit.plots.style import (
    BLACK,
    VERMILLION,
    add_legend,
    new_figure,
    panel_grid,
    set_title,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TICKS = {
    -math.pi: r"$-\pi$",
    -0.5 * math.pi: r"$-\pi/2$",
    0.0: "0",
    0.5 * math.pi: r"$\pi/2$",
    math.pi: r"$\pi$",
}
_EDGE = 1e-9  # angles that differ from +-pi by rounding are drawn at both ends
ANGLE_LABEL = r"angle of $(w, b)$"


def amplitude_angles(
    panels: Mapping[str, tuple[Any, Any]],
    *,
    predicted: Any = None,
    rivals: Any = None,
    x_label: str = ANGLE_LABEL,
    y_label: str = r"amplitude $|a|\,|w|$",
    projection: bool = False,
    log_y: bool = True,
    title: str,
    note: str = "",
) -> "Figure":
    """Every neuron's amplitude against its angle, and vertical lines at the predicted angles.

    Args:
        panels: name -> (angles [m] in radians, amplitudes [m]); at most six. What is not finite is not drawn, nor on a
            logarithmic axis what is not positive.
        predicted: angles [K] for all panels, or panel name -> angles [K].
        rivals: (what they are, angles as for `predicted`) of another prediction, as dashed lines.
        x_label, y_label: of the axes.
        projection: the horizontal axis is no angle but a projection of the orientation, in [-1, 1].
        log_y: logarithmic amplitudes.
        title: the figure's message.
        note: what the data are, in words.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than six, lengths that differ, a name that no panel has.
    """
    check_panels(panels)
    columns = {
        name: _columns(name, *pair_of(name, pair, "(angles, amplitudes)"))
        for name, pair in panels.items()
    }
    rival_label, rival_angles = rivals if rivals is not None else ("", None)
    styles: tuple[tuple[Any, dict[str, Any]], ...] = (
        (
            per_panel("predicted", predicted, panels, _as_row),
            {"color": PREDICTED_COLOUR, "label": PREDICTED_LABEL},
        ),
        (
            per_panel("rivals", rival_angles, panels, _as_row),
            {"color": VERMILLION, "linestyle": "--", "label": rival_label},
        ),
    )
    with styled():
        fig, axes = _panels(len(panels), x_label, y_label)
        for ax, (name, (angles, amplitudes)) in zip(axes, columns.items(), strict=True):
            if log_y:
                ax.set_yscale("log")
            drawn = (
                np.isfinite(angles) & np.isfinite(amplitudes) & ((amplitudes > 0.0) | (not log_y))
            )
            x = angles[drawn] if projection else wrapped(angles[drawn])
            ax.plot(x, amplitudes[drawn], "o", **DOTS, label="neuron", zorder=4, clip_on=False)
            for lines, style in styles:
                expected = lines[name]
                for place in (
                    () if expected is None else expected if projection else seen_angles(expected)
                ):
                    ax.axvline(place, linewidth=1.6, zorder=3, **style)
            if projection:
                ax.set_xlim(-1.05, 1.05)
            else:
                ax.set_xlim(-math.pi, math.pi)
                ax.set_xticks(list(_TICKS), list(_TICKS.values()))
            if len(panels) > 1:
                ax.set_title(name)
        _finish(fig, axes, title, note)
    return fig


def orientation_paths(
    panels: Mapping[str, tuple[Any, Any]],
    *,
    predicted: Any = None,
    x_label: str = "training step",
    y_label: str = ANGLE_LABEL,
    log_x: bool = False,
    title: str,
    note: str = "",
) -> "Figure":
    """The angle of every neuron in the course of training, and horizontal lines at the predicted angles.

    A path that leaves at pi comes in at -pi. Between two records a neuron is taken to have turned by less than pi.

    Args:
        panels: name -> (steps [T], angles [T, m] in radians); at most six. What is not finite is not drawn, nor on a logarithmic
            axis steps that are not positive.
        predicted: angles [K] for all panels, or panel name -> angles [K].
        x_label, y_label: of the axes.
        log_x: logarithmic steps.
        title: the figure's message.
        note: what the data are, in words.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than six, shapes that do not fit, a name that no panel has.
    """
    from matplotlib.collections import LineCollection

    check_panels(panels)
    paths = {
        name: _paths(name, *pair_of(name, pair, "(steps, angles)")) for name, pair in panels.items()
    }
    lines = per_panel("predicted", predicted, panels, _as_row)
    with styled():
        fig, axes = _panels(len(panels), x_label, y_label)
        for ax, (name, (steps, angles)) in zip(axes, paths.items(), strict=True):
            shown = np.isfinite(steps) & ((steps > 0.0) | (not log_x))
            steps, angles = steps[shown], angles[shown]
            if log_x:
                ax.set_xscale("log")
            segments = [np.column_stack([steps, path]) for path in copies_in_sight(angles)]
            many = LineCollection(
                segments, colors=BLACK, linewidths=0.8, alpha=0.35, label="neuron", zorder=3
            )
            ax.add_collection(many)
            expected = lines[name]
            for place in () if expected is None else seen_angles(expected):
                ax.axhline(
                    place, color=PREDICTED_COLOUR, linewidth=1.6, label=PREDICTED_LABEL, zorder=4
                )
            if steps.size and np.ptp(steps) > 0.0:
                ax.set_xlim(steps.min(), steps.max())
            ax.set_ylim(-math.pi, math.pi)
            ax.set_yticks(list(_TICKS), list(_TICKS.values()))
            if len(panels) > 1:
                ax.set_title(name)
        _finish(fig, axes, title, note)
    return fig


def wrapped(angles: np.ndarray) -> np.ndarray:
    """The same angles in [-pi, pi)."""
    return (angles + math.pi) % (2.0 * math.pi) - math.pi


def seen_angles(angles: np.ndarray) -> list[float]:
    """Where lines for these angles appear between -pi and pi: at both ends for an angle of pi."""
    places: list[float] = []
    for angle in wrapped(angles[np.isfinite(angles)]):
        if math.pi - abs(angle) < _EDGE:
            places += [-math.pi, math.pi]
        else:
            places.append(float(angle))
    return places


def copies_in_sight(angles: np.ndarray) -> list[np.ndarray]:
    """Continuous paths that show angles [T, m] between -pi and pi: each neuron's own, moved by the multiples of 2 pi that are seen."""
    copies: list[np.ndarray] = []
    for path in _unwrapped(angles).T:
        finite = path[np.isfinite(path)]
        if not finite.size:
            continue
        first = math.ceil((-math.pi - finite.max()) / (2.0 * math.pi))
        last = math.floor((math.pi - finite.min()) / (2.0 * math.pi))
        copies += [path + 2.0 * math.pi * turns for turns in range(first, last + 1)]
    return copies


def _unwrapped(angles: np.ndarray) -> np.ndarray:
    """Angles [T, m] without jumps in time; gaps stay gaps, and the path goes on after them."""
    filled = wrapped(angles)
    for t in range(1, len(filled)):
        filled[t] = np.where(np.isfinite(filled[t]), filled[t], filled[t - 1])
    missing = ~np.isfinite(filled)
    filled[missing] = 0.0
    started = np.where(missing, np.nan, np.unwrap(filled, axis=0))
    return np.where(np.isfinite(angles), started, np.nan)


def _panels(count: int, x_label: str, y_label: str) -> tuple["Figure", list[Any]]:
    fig = new_figure() if count == 1 else new_figure(9.0, 3.9 if count <= 3 else 6.2)
    return fig, panel_grid(fig, count, x_label, y_label, shared="y")


def _finish(fig: "Figure", axes: list["Axes"], title: str, note: str) -> None:
    set_title(fig, title, note)
    add_legend(fig, *entries_of(axes))


def _as_row(what: str, values: Any) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise SpecError(f"{what} of shape {array.shape}", "angles [K]", "Pass a list of angles.")
    return array


def _columns(name: str, angles: Any, amplitudes: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(angles, np.float64), np.asarray(amplitudes, np.float64)
    if x.ndim != 1 or x.shape != y.shape or not x.size:
        raise SpecError(
            f"{name}: angles of shape {x.shape} and amplitudes of shape {y.shape}",
            "one length [m], not empty",
            "Give every neuron its angle and its amplitude.",
        )
    return x, y


def _paths(name: str, steps: Any, angles: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(steps, np.float64), np.asarray(angles, np.float64)
    if x.ndim != 1 or y.ndim != 2 or len(x) != len(y) or len(x) < 2 or not y.size:
        raise SpecError(
            f"{name}: steps of shape {x.shape} and angles of shape {y.shape}",
            "steps [T] and angles [T, m] with T >= 2, m >= 1",
            "Give every record its step.",
        )
    return x, y
