"""Phase diagram of initial training."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.typing import Array, Plain, Real
from deepinit.core.validate import require
from deepinit.plots import validate
from deepinit.plots.similarities import DIVERGING
from deepinit.plots.style import BLACK, BLUE, add_legend, new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RIM = "#333333"
_TEXT_BOX: Any = {  # keeps text legible on the boundary
    "boxstyle": "round,pad=0.12",
    "facecolor": "white",
    "edgecolor": "none",
    "alpha": 0.8,
}
_MARGIN = 0.16  # relative to the extent of the points


def phase_diagram(
    points: Real[Array, "k 2"] | Plain,
    exponents: Real[Array, "k"] | Plain,
    errors: Real[Array, "k"] | Plain | None = None,
    *,
    boundary: Callable[[float], float] | Sequence[Any] | None = None,
    regimes: Mapping[str, tuple[float, float]] | None = None,
    x_label: str = r"$\gamma$",
    y_label: str = r"$\gamma'$",
    exponent_label: str = "measured exponent of the width",
    title: str,
    note: str = "",
) -> "Figure":
    """Measured exponents over (gamma, gamma'), as colours and numbers.

    Args:
        points: (gamma, gamma').
        exponents: non-finite ones are not drawn; their standard `errors` may be non-finite.
        boundary: of exponent 0: gamma as a function of gamma', or (gamma [n], gamma' [n]).
        regimes: name -> (gamma, gamma') of its text.

    Raises SpecError: no points, other shapes, non-finite coordinates.
    """
    places, values, spreads = _read(points, exponents, errors)
    low, high = places.min(axis=0), places.max(axis=0)
    written = np.array(list((regimes or {}).values()), np.float64).reshape(-1, 2)
    low = np.minimum(low, written.min(axis=0, initial=np.inf))
    high = np.maximum(high, written.max(axis=0, initial=-np.inf))
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
        dot: Any = {"markerfacecolor": "#dddddd", "markeredgecolor": _RIM, "markersize": 9.0}
        ax.plot([], [], "o", **dot, label=entry)
        for place, value, spread in zip(places[drawn], values[drawn], spreads[drawn], strict=True):
            _write_value(ax, place, value, spread)
        for name, place in (regimes or {}).items():
            centred: Any = {"ha": "center", "va": "center", "style": "italic"}
            ax.text(*place, name, color="#5a5a5a", fontsize=12, zorder=2, **centred)
        ax.set_xlim(low[0], high[0])
        ax.set_ylim(low[1], high[1])
        ax.grid(visible=False)  # values are written at the points
        ax.set_xlabel(x_label)
        ax.set_ylabel(y_label)
        bar = fig.colorbar(dots, ax=ax, aspect=28.0, pad=0.02)
        bar.set_label(exponent_label)
        bar.outline.set_visible(False)
        set_title(fig, title, note)
        add_legend(fig, [ax])
    return fig


def _write_value(ax: "Axes", place: Any, value: float, spread: float) -> None:
    decimals = 2  # to 4, down to the first digit of the error
    if np.isfinite(spread) and spread > 0.0:
        decimals = min(4, max(2, math.ceil(-math.log10(spread))))
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
        bbox=_TEXT_BOX,
        zorder=5,
    )


def _line(boundary: Any, low: float, high: float) -> tuple[np.ndarray, np.ndarray] | None:
    if boundary is None:
        return None
    if callable(boundary):
        zero = 0.0 if low < 0.0 < high else low
        heights = np.unique(np.append(np.linspace(low, high, 401), zero))
        return np.array([float(boundary(float(height))) for height in heights]), heights
    allowed = "a function gamma' -> gamma, or (gamma [n], gamma' [n])"
    require(len(boundary) == 2, f"a boundary of {len(boundary)} arrays", allowed, "Pass two.")
    x, y = validate.shaped("boundary", "gamma [n], gamma' [n]", *boundary, least=0)
    return x, y


def _read(points: Any, exponents: Any, errors: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    errors = np.full(np.shape(exponents), np.nan) if errors is None else errors
    pattern = "points [k, 2], exponents [k], errors [k]"
    places, values, spreads = validate.shaped("", pattern, points, exponents, errors)
    require(np.isfinite(places).all(), "points that are not finite", "finite [k, 2]", "Drop them.")
    return places, values, spreads
