"""Phase diagram of initial training: measured exponents over the plane of scalings, with the predicted boundary."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.similarities import DIVERGING
from deepinit.plots.style import BLACK, BLUE, add_legend, new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIM = "#333333"
_MARGIN = 0.16  # of the points' extent, around them


def phase_diagram(
    points: Any,
    exponents: Any,
    errors: Any = None,
    *,
    boundary: Callable[[float], float] | Sequence[Any] | None = None,
    regimes: Mapping[str, tuple[float, float]] | None = None,
    x_label: str = r"$\gamma$",
    y_label: str = r"$\gamma'$",
    exponent_label: str = "measured exponent of the width",
    title: str,
    note: str = "",
) -> "Figure":
    """Measured exponents as colours over (gamma, gamma'): blue below 0, white at 0, red above, each with its value beside it.

    Args:
        points: [k, 2], (gamma, gamma').
        exponents: [k]; a point whose exponent is not finite is not drawn.
        errors: [k], their standard errors; None or not finite where there is none.
        boundary: where the exponent is predicted to be 0: gamma as a function of gamma', or the line's coordinates
            (gamma [n], gamma' [n]).
        regimes: name -> (gamma, gamma') at which it is written.
        x_label, y_label: of the axes.
        exponent_label: of the colours.
        title: the figure's message.
        note: what the data are, in words.

    Returns:
        A matplotlib Figure, 7 x 5.2 inches.

    Raises:
        SpecError: no points, shapes that do not fit, coordinates that are not finite.
    """
    places, values, spreads = _read(points, exponents, errors)
    low, high = places.min(axis=0), places.max(axis=0)
    written = np.array(list((regimes or {}).values()), np.float64).reshape(-1, 2)
    low, high = (
        np.minimum(low, written.min(axis=0, initial=np.inf)),
        np.maximum(high, written.max(axis=0, initial=-np.inf)),
    )
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    low, high = low - margin, high + margin
    line = _line(boundary, float(low[1]), float(high[1]))
    drawn = np.isfinite(values)
    largest = float(np.abs(values[drawn]).max(initial=0.0)) or 1.0
    with styled():
        fig = new_figure(7.0, 5.2)
        ax = fig.subplots()
        if line is not None:
            ax.plot(
                *line, color=BLUE, linewidth=2.0, label="predicted boundary: exponent 0", zorder=3
            )
        dots = ax.scatter(
            places[drawn, 0],
            places[drawn, 1],
            c=values[drawn],
            cmap=DIVERGING,
            vmin=-largest,
            vmax=largest,
            s=110.0,
            edgecolors=_RIM,
            linewidths=0.8,
            zorder=4,
        )
        entry = "measured, ± standard error" if np.isfinite(spreads).any() else "measured"
        dot: dict[str, Any] = {
            "markerfacecolor": "#dddddd",
            "markeredgecolor": _RIM,
            "markersize": 9.0,
        }
        ax.plot([], [], "o", **dot, label=entry)
        for place, value, spread in zip(places[drawn], values[drawn], spreads[drawn], strict=True):
            _write_value(ax, place, value, spread)
        for name, place in (regimes or {}).items():
            ax.text(
                *place,
                name,
                color="#5a5a5a",
                fontsize=12,
                ha="center",
                va="center",
                style="italic",
                zorder=2,
            )
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
        ax.grid(visible=False)  # values are written at the points
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        bar = fig.colorbar(dots, ax=ax, aspect=28.0, pad=0.02)
        bar.set_label(exponent_label)
        bar.outline.set_visible(False)
        set_title(fig, title, note)
        add_legend(fig, *ax.get_legend_handles_labels())
    return fig


def _write_value(ax: "Axes", place: Any, value: float, spread: float) -> None:
    # as many decimals as show the error's first digit, 2 to 4
    decimals = (
        min(4, max(2, math.ceil(-math.log10(spread))))
        if np.isfinite(spread) and spread > 0.0
        else 2
    )
    text = f"{value:+.{decimals}f}".replace("-", "−")
    if np.isfinite(spread):
        text += f"\n±{spread:.{decimals}f}"
    ax.annotate(
        text,
        place,
        xytext=(0.0, -7.5),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=8.0,
        linespacing=1.1,
        color=BLACK,
        # legible where the boundary passes
        bbox={
            "boxstyle": "round,pad=0.12",
            "facecolor": "white",
            "edgecolor": "none",
            "alpha": 0.8,
        },
        zorder=5,
    )


def _line(boundary: Any, low: float, high: float) -> tuple[np.ndarray, np.ndarray] | None:
    if boundary is None:
        return None
    if callable(boundary):
        heights = np.unique(
            np.append(np.linspace(low, high, 401), 0.0 if low < 0.0 < high else low)
        )
        return np.array([float(boundary(float(height))) for height in heights]), heights
    coordinates = [np.asarray(values, np.float64) for values in boundary]
    if (
        len(coordinates) != 2
        or coordinates[0].ndim != 1
        or coordinates[0].shape != coordinates[1].shape
    ):
        raise SpecError(
            f"a boundary of shapes {[values.shape for values in coordinates]}",
            "a function gamma' -> gamma, or (gamma [n], gamma' [n])",
            "Give every point of the line two coordinates.",
        )
    return coordinates[0], coordinates[1]


def _read(points: Any, exponents: Any, errors: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    places, values = np.asarray(points, np.float64), np.asarray(exponents, np.float64)
    spreads = np.full(values.shape, np.nan) if errors is None else np.asarray(errors, np.float64)
    fits = places.ndim == 2 and places.shape[1:] == (2,) and len(places) > 0
    if not (fits and values.shape == spreads.shape == (len(places),) and np.isfinite(places).all()):
        raise SpecError(
            f"points of shape {places.shape}, exponents {values.shape}, errors {spreads.shape}",
            "[k, 2] finite, [k], [k] with k >= 1",
            "Give every point its exponent.",
        )
    return places, values, spreads
