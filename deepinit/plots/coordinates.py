"""Figure of a scaling check: one panel a layer type, slopes that can be read."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILLION,
    new_figure,
    panel_grid,
    set_title,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_COLOURS = (BLUE, GREEN, ORANGE, PURPLE, VERMILLION)
_PANELS = (
    ("first layer", "first", "own change"),
    ("hidden layers", "hidden", "own change"),
    ("change of the output", "output", "total change"),
    ("output at initialization", "output", "size"),
)
_MOST_LAYERS = 5  # in one panel
_LONGEST = 30  # characters of a name


def scaling_check(check: Any, *, probe: str = "new input", title: str | None = None) -> "Figure":
    """Size against width n on logarithmic axes, one panel a layer type.

    Markers with error bars are measured; the solid line is the slope fitted at the largest widths,
    written beside it; dashed lines are predicted slopes. Where measured and dashed lines are
    parallel, the layer scales as predicted.

    Args:
        check: of `di.scaling_check`.
        probe: `new input` or `training input`.

    Raises SpecError: no rows of this probe.
    """
    rows = [row for row in check.rows if row.probe == probe]
    panels = [
        (name, [row for row in rows if (row.role, row.part) == (role, part)])
        for name, role, part in _PANELS
    ]
    panels = [(name, _thinned(found)) for name, found in panels if found]
    if not panels:
        raise SpecError(f"probe={probe!r}", "new input, training input", "Leave probe out.")
    n = np.asarray(check.widths, np.float64)
    with styled():
        fig = new_figure(8.5, 4.2 if len(panels) < 4 else 7.4)
        label = "root mean square"
        axes = panel_grid(fig, len(panels), r"width $n$", label, shared="x")
        for ax, (name, found) in zip(axes, panels, strict=True):
            ax.set_title(name)
            ax.set_xscale("log", base=2)
            ax.set_yscale("log", base=2)
            for row, colour in zip(found, _COLOURS, strict=False):
                _draw(ax, n, row, colour)
            _draw_guides(ax, n, found)
            _set_limits(ax, found)
            ax.minorticks_off()
            ax.legend(loc="best", fontsize=7.5, handlelength=1.0)
        set_title(
            fig, title or check.title, f"at a {probe}; solid: fitted slope, dashed: predicted"
        )
    return fig


def _thinned(rows: Sequence[Any]) -> list[Any]:
    """At most five layers, evenly."""
    at = np.linspace(0, len(rows) - 1, min(len(rows), _MOST_LAYERS)).round().astype(int)
    return [rows[index] for index in at]


def _draw(ax: Any, n: np.ndarray, row: Any, colour: str) -> None:
    label = f"{_short(row.layer)}: {row.exponent:+.2f} ± {row.error:.2f}"
    errors = np.minimum(row.errors, 0.9 * row.values)
    ax.errorbar(
        n, row.values, yerr=errors, fmt="o", color=colour, capsize=2.0, label=label, zorder=4
    )
    last = slice(-3, None)
    middle = np.exp(np.mean(np.log(row.values[last])))
    line = middle * (n / np.exp(np.mean(np.log(n[last])))) ** row.exponent
    ax.plot(n[last], line[last], color=colour, linewidth=1.4, zorder=3)


def _short(name: str) -> str:
    """At most 30 characters of a path: its second part and its last."""
    parts = name.split("/")
    if len(name) <= _LONGEST or len(parts) < 3:
        return name
    return f"{parts[1]}/…/{parts[-1]}" if len(parts) > 3 else "/".join(parts[1:])


def _draw_guides(ax: Any, n: np.ndarray, rows: Sequence[Any]) -> None:
    """Predicted slopes from the largest width; equal ones once."""
    row = rows[-1]
    guides: dict[float, list[str]] = {}
    if row.predicted is not None:
        guides[row.predicted] = ["predicted"]
    else:
        for name, value in row.guides.items():
            guides.setdefault(round(value, 6), []).append(name)
    for value, names in guides.items():
        line = row.values[-1] * (n / n[-1]) ** value
        ax.plot(n, line, linestyle="--", color=GREY, linewidth=1.1, zorder=2)
        rises = value > 0.0
        ax.annotate(
            f"{value:+.2g} " + ",\n".join(names),
            (n[0], line[0]),
            xytext=(16, -3) if rises else (8, 4),
            va="top" if rises else "bottom",
            textcoords="offset points",
            fontsize=7.5,
            color="#555555",
            zorder=5,
            clip_on=True,
        )


def _set_limits(ax: Any, rows: Sequence[Any]) -> None:
    """The measured values, and an octave and a half."""
    values = np.concatenate([row.values for row in rows])
    low, high = math.log2(values.min()) - 1.5, math.log2(values.max()) + 1.5
    middle, half = 0.5 * (low + high), max(0.5 * (high - low), 3.0)
    ax.set_ylim(2.0 ** (middle - half), 2.0 ** (middle + half))
