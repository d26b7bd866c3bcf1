"""Ticks: plain or whole numbers."""

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plain_numbers(axis: Any, low: float, high: float) -> None:
    """0.5, 1, 2 below two logarithmic decades."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if high < 100.0 * low:
        steps = (1.0, 2.0, 5.0) if high > 5.0 * low else tuple(np.arange(1.0, 10.0))
        axis.set_major_locator(LogLocator(subs=steps))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.set_minor_formatter(NullFormatter())


def whole_numbers(ax: "Axes", columns: list[np.ndarray], *, log_x: bool) -> None:
    """Whole ticks for whole values."""
    from matplotlib.ticker import MaxNLocator

    x = np.unique(np.concatenate(columns))
    x = x[np.isfinite(x)]
    if not x.size or np.any(x != np.round(x)):
        return
    if not log_x:
        ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
    elif len(x) <= 10:
        ax.set_xticks(x, [f"{value:g}" for value in x])
        ax.minorticks_off()
