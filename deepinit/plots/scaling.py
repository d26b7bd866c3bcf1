"""Figures against width."""

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Numbers, Plain, Real
from deepinit.core.validate import require
from deepinit.plots.curves import Curves, Predicted, read_curves
from deepinit.plots.style import (
    GREY,
    VERMILLION,
    add_legend,
    new_figure,
    route_styles,
    set_title,
    spaced,
    styled,
    width_colour,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FINITE_DASHES = ("-", "-.", ":", (0, (1, 3)))


def widths(
    widths: Sequence[int] | np.ndarray,
    measured: Real[Array, "widths"] | Plain,
    standard_error: Real[Array, "widths"] | Plain,
    predicted: Mapping[str, Numbers],
    *,
    label: str = "",
    title: str | None = None,
    note: str = "",
) -> "Figure":
    """|predicted - measured| against width n by route, on logarithmic axes.

    Below one standard error the band is grey and points are hollow. Guides fall as 1/n and 1/n^2.

    Args:
        measured, standard_error: means and their errors.
        predicted: route -> [widths].
        label: name and symbol of the quantity.

    Raises SpecError: other lengths, widths that are not positive, or no route.
    """
    n = np.asarray(widths, np.float64)
    mean, error = np.asarray(measured, np.float64), np.asarray(standard_error, np.float64)
    routes = {name: np.asarray(values, np.float64) for name, values in predicted.items()}
    _check(n, mean, error, routes)
    order = np.argsort(n)
    n, mean, error = n[order], mean[order], error[order]
    bias = {name: np.abs(values[order] - mean) for name, values in routes.items()}
    with styled():
        fig = new_figure()
        ax = fig.subplots()
        ax.set_xscale("log", base=2)
        ax.set_yscale("log")
        for style in route_styles(bias).values():
            _draw_bias(ax, n, bias[style.name], error, style)
        positive = [
            v for values in (*bias.values(), error) for v in values if np.isfinite(v) and v > 0
        ]
        low, high = (min(positive) / 2.5, max(positive) * 2.5) if positive else (1e-3, 1.0)
        # A bias far below its standard error does not stretch the axis.
        resolved = error[np.isfinite(error) & (error > 0)]
        low = max(low, float(resolved.min()) / 30.0) if resolved.size else low
        ax.set_ylim(low, high)
        ax.fill_between(
            n, low, error, color="#ececec", linewidth=0.0, zorder=0, label="below 1 standard error"
        )
        _draw_guides(ax, n, list(bias.values()))
        ax.set_xlim(n[0] / 1.3, n[-1] * 1.3)
        ax.set_xticks(n, [f"{width:g}" for width in n])
        ax.minorticks_off()
        ax.set_xlabel(r"width $n$")
        ax.set_ylabel("|predicted − measured|" + (f" of\n{label}" if label else ""))
        set_title(fig, title or "Distance of each prediction from the measurement, by width", note)
        add_legend(fig, [ax])
    return fig


def by_width(
    results: Mapping[int, Sequence[Any]],
    *,
    pair: int | str = 0,
    title: str | None = None,
    symbol: str | None = None,
) -> "Figure":
    """One quantity by layer at several widths and infinite width.

    Args:
        results: width -> its Estimate and Predictions, or (Dataset,); "infinite" ones are drawn
            once, from the largest width.
        pair: name or index.

    Raises SpecError: nothing to draw, or no such pair.
    """
    if not results:
        raise SpecError("no widths", "width -> results", "Pass at least one width.")
    record: dict[int, Curves] = {
        width: read_curves(tuple(results[width]), symbol) for width in sorted(results)
    }
    names = dict.fromkeys(route.name for curves in record.values() for route in _finite(curves))
    dashes = dict(zip(names, itertools.cycle(FINITE_DASHES), strict=False))
    with styled():
        from matplotlib.ticker import MaxNLocator

        fig = new_figure()
        ax = fig.subplots()
        for width, curves in record.items():
            (column,) = curves.shown_pairs(pair)
            colour, step = width_colour(width), -(-len(curves.layers) // 40)
            for measured in curves.measured:
                ax.errorbar(
                    curves.layers[::step],
                    measured.mean[::step, column],
                    yerr=np.nan_to_num(measured.standard_error[::step, column]),
                    fmt="o",
                    markersize=3.5,
                    elinewidth=1.0,
                    capsize=1.5,
                    color=colour,
                    label=f"$n = {width}$",
                    zorder=4,
                )
            for route in _finite(curves):
                value = route.value[:, column]
                ax.plot(curves.layers, value, color=colour, linestyle=dashes[route.name], zorder=3)
        for name, dash in dashes.items():
            ax.plot([], [], color="#555555", linestyle=dash, label=spaced(name))
        last = record[max(record)]
        for route in last.predicted:
            if "infinite" in route.name.lower():
                (column,) = last.shown_pairs(pair)
                value = route.value[:, column]
                ax.plot(
                    last.layers,
                    value,
                    color=VERMILLION,
                    linestyle="--",
                    label=spaced(route.name),
                    zorder=3,
                )
        ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        ax.set_xlabel(r"layer $\ell$")
        ax.set_ylabel(last.axis_label)
        set_title(
            fig,
            title or f"{spaced(last.quantity)} at several widths".capitalize(),
            "; ".join(filter(None, (last.label, "markers with error bars: measured"))),
        )
        add_legend(fig, [ax])
    return fig


def _finite(curves: Curves) -> list[Predicted]:
    return [route for route in curves.predicted if "infinite" not in route.name.lower()]


def _draw_bias(ax: "Axes", n: np.ndarray, bias: np.ndarray, error: np.ndarray, style: Any) -> None:
    shown = np.where(bias > 0, bias, np.nan)
    ax.plot(n, shown, color=style.colour, linestyle=style.dash, linewidth=1.0, zorder=2)
    # On a logarithmic axis a bar that reaches 0 ends at a hundredth of its point.
    bars = np.array([np.minimum(np.nan_to_num(error), 0.99 * shown), np.nan_to_num(error)])
    resolved = shown > np.nan_to_num(error)
    ax.errorbar(
        n, shown, yerr=bars, fmt="none", ecolor=style.colour, elinewidth=1.0, capsize=2.0, zorder=3
    )
    marker = {"marker": style.marker, "markersize": 5.0, "linestyle": "none", "color": style.colour}
    ax.plot(n[resolved], shown[resolved], **marker, zorder=4)
    ax.plot(n[~resolved], shown[~resolved], **marker, markerfacecolor="white", zorder=4)
    entry = {"color": style.colour, "linestyle": style.dash, "marker": style.marker}
    ax.plot([], [], **entry, label=spaced(style.name))


def _draw_guides(ax: "Axes", n: np.ndarray, biases: list[np.ndarray]) -> None:
    starts = [values[0] for values in biases if np.isfinite(values[0]) and values[0] > 0]
    if not starts or len(n) < 2:
        return
    for slope, text in ((1, r"$\propto 1/n$"), (2, r"$\propto 1/n^2$")):
        line = max(starts) * (n[0] / n) ** slope
        ax.plot(n, line, color=GREY, linestyle=":", linewidth=1.1, zorder=1)
        visible = np.flatnonzero(line > ax.get_ylim()[0] * 1.6)
        end = visible[-1] if visible.size else 0
        ax.annotate(
            text,
            (n[end], line[end]),
            xytext=(4, 5),
            textcoords="offset points",
            color="#5a5a5a",
            fontsize=8.5,
        )


def _check(
    n: np.ndarray, mean: np.ndarray, error: np.ndarray, routes: Mapping[str, np.ndarray]
) -> None:
    require(routes, "no predictions", "route -> one value per width", "Pass at least one route.")
    fits = n.ndim == 1 and n.size > 0 and np.all(n >= 1)
    require(fits, f"widths of shape {n.shape}", "widths, each 1 or more", "Check the widths.")
    for name, values in {"measured": mean, "standard_error": error, **routes}.items():
        if values.shape != n.shape:
            given, allowed = f"{name} of shape {values.shape}", f"one value per width, {n.shape}"
            raise SpecError(given, allowed, "Select one layer first.")
