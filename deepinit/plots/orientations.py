"""Orientations of neurons by amplitude and in training."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.typing import Numbers
from deepinit.core.validate import require
from deepinit.plots import validate
from deepinit.plots.directions import DOTS, PREDICTED_COLOUR, PREDICTED_LABEL, pair_of, per_panel
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
_EDGE = 1e-9  # angles within rounding of +-pi are drawn at both ends
ANGLE_LABEL = r"angle of $(w, b)$"


def amplitude_angles(
    panels: Mapping[str, tuple[Numbers, Numbers]],
    *,
    predicted: Numbers | Mapping[str, Numbers] | None = None,
    rivals: tuple[str, Numbers | Mapping[str, Numbers]] | None = None,
    x_label: str = ANGLE_LABEL,
    y_label: str = r"amplitude $|a|\,|w|$",
    projection: bool = False,
    log_y: bool = True,
    title: str,
    note: str = "",
) -> "Figure":
    """Amplitudes of neurons against angles, with vertical lines at predicted angles.

    Args:
        panels: one to six, name -> (angles [m] in radians, amplitudes [m]); non-finite values are
            not drawn.
        predicted: angles [K], or panel name -> angles [K].
        rivals: (label, angles as for `predicted`), dashed.
        projection: the horizontal axis is a projection in [-1, 1].
        log_y: logarithmic, without non-positive amplitudes.

    Raises SpecError: other shapes or panels.
    """
    validate.num_panels(len(panels))
    columns = {
        name: _columns(name, *pair_of(name, pair, "(angles, amplitudes)"))
        for name, pair in panels.items()
    }
    rival_label, rival_angles = rivals if rivals is not None else ("", None)
    predicted_style: dict[str, Any] = {"color": PREDICTED_COLOUR, "label": PREDICTED_LABEL}
    rival_style = {"color": VERMILLION, "linestyle": "--", "label": rival_label}
    styles = (
        (per_panel("predicted", predicted, panels, _as_row), predicted_style),
        (per_panel("rivals", rival_angles, panels, _as_row), rival_style),
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
                places = [] if expected is None else list(expected)
                places = places if projection else seen_angles(np.array(places))
                for place in places:
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
    panels: Mapping[str, tuple[Numbers, Numbers]],
    *,
    predicted: Numbers | Mapping[str, Numbers] | None = None,
    x_label: str = "training step",
    y_label: str = ANGLE_LABEL,
    log_x: bool = False,
    title: str,
    note: str = "",
) -> "Figure":
    """Angles of neurons during training, with horizontal lines at predicted angles.

    Turns between records must be below pi.

    Args:
        panels: one to six, name -> (steps [T], angles [T, m] in radians); non-finite values are not
            drawn.
        predicted: angles [K], or panel name -> angles [K].
        log_x: logarithmic, without non-positive steps.

    Raises SpecError: other shapes or panels.
    """
    from matplotlib.collections import LineCollection

    validate.num_panels(len(panels))
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
            style: Any = {"color": PREDICTED_COLOUR, "label": PREDICTED_LABEL}
            for place in [] if expected is None else seen_angles(expected):
                ax.axhline(place, linewidth=1.6, zorder=4, **style)
            if steps.size and np.ptp(steps) > 0.0:
                ax.set_xlim(steps.min(), steps.max())
            ax.set_ylim(-math.pi, math.pi)
            ax.set_yticks(list(_TICKS), list(_TICKS.values()))
            if len(panels) > 1:
                ax.set_title(name)
        _finish(fig, axes, title, note)
    return fig


def wrapped(angles: np.ndarray) -> np.ndarray:
    """Angles in [-pi, pi)."""
    return (angles + math.pi) % (2.0 * math.pi) - math.pi


def seen_angles(angles: np.ndarray) -> list[float]:
    """Positions of lines; both ends for pi."""
    places: list[float] = []
    for angle in wrapped(angles[np.isfinite(angles)]):
        if math.pi - abs(angle) < _EDGE:
            places += [-math.pi, math.pi]
        else:
            places.append(float(angle))
    return places


def copies_in_sight(angles: np.ndarray) -> list[np.ndarray]:
    """Continuous paths [T, m], with all visible shifts by 2 pi."""
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
    """Angles [T, m] without jumps; gaps stay."""
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
    add_legend(fig, axes)


def _as_row(name: str, values: Any) -> np.ndarray:
    (array,) = validate.shaped("", f"{name} [K]", values, least=0)
    return array


def _columns(name: str, angles: Any, amplitudes: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = validate.shaped(name, "angles [m], amplitudes [m]", angles, amplitudes)
    return x, y


def _paths(name: str, steps: Any, angles: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = validate.shaped(name, "steps [T], angles [T, m]", steps, angles)
    require(
        len(x) > 1,
        f"{name}: steps of shape {x.shape}",
        "steps [T] with T >= 2",
        "Record more steps.",
    )
    return x, y
