"""z-scores of predictions, and their threshold."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.levels import THRESHOLD_SIGMA
from deepinit.plots.curves import Curves, as_dataset, is_dataset, read_curves
from deepinit.plots.style import (
    GREY,
    add_legend,
    new_figure,
    route_styles,
    set_title,
    spaced,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axis import XAxis, YAxis
    from matplotlib.figure import Figure


BAND_COLOUR = "#eef3ee"


def residuals(
    *results: Any,
    threshold_sigma: float = THRESHOLD_SIGMA,
    component: int | str | None = None,
    title: str | None = None,
) -> "Figure":
    """(measured - predicted) / standard error of the mean, by layer and route.

    The axis is linear within the threshold, logarithmic beyond.

    Args:
        results: one comparison Dataset; or one Estimate and Predictions.
        threshold_sigma: largest |z| in agreement.
        component: name or index; None draws all together.

    Raises SpecError: no Estimate or Prediction, or other shapes.
    """
    curves = read_curves(results)
    if len(curves.measured) != 1 or not curves.predicted:
        given = f"{len(curves.measured)} Estimates and {len(curves.predicted)} Predictions"
        raise SpecError(given, "one Estimate and at least one Prediction", "Pass both.")
    columns = list(range(len(curves.components)))
    columns = columns if component is None else curves.shown_components(component)
    styles = route_styles(curves.route_names)
    with styled():
        from matplotlib.ticker import MaxNLocator

        fig = new_figure()
        ax = fig.subplots()
        smallest, largest, hidden = 0.0, 0.0, 0
        dense = len(curves.layers) > 60  # markers would merge
        for index, (name, z) in enumerate(_scores(curves, columns).items()):
            finite = np.isfinite(z)
            hidden += int(np.sum(~finite))
            smallest = min(smallest, float(np.min(z, initial=0.0, where=finite)))
            largest = max(largest, float(np.max(z, initial=0.0, where=finite)))
            shift = 0.0 if dense else 0.16 * (index - 0.5 * (len(styles) - 1))
            style = styles[name]
            for k in range(z.shape[1]):
                ax.plot(
                    curves.layers + shift,
                    np.where(finite[:, k], z[:, k], np.nan),
                    color=style.colour,
                    linestyle=style.dash,
                    linewidth=1.2 if dense else 0.6,
                    marker="None" if dense else style.marker,
                    label=spaced(name),
                    zorder=3,
                )
        label = f"agreement: within ±{threshold_sigma:g} standard errors"
        ax.axhspan(-threshold_sigma, threshold_sigma, color=BAND_COLOUR, zorder=0, label=label)
        ax.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
        score_axis(ax.yaxis, smallest, largest, threshold_sigma)
        ax.xaxis.set_major_locator(MaxNLocator(nbins=10, integer=True, min_n_ticks=1))
        ax.set_xlabel(curves.position_label)
        ax.set_ylabel("(measured − predicted) / standard error")
        notes = [note for note in (curves.data_note(columns), _hidden(hidden)) if note]
        heading = f"Distance from each prediction: {spaced(curves.quantity)}"
        set_title(fig, title or heading, "; ".join(notes))
        add_legend(fig, [ax])
    return fig


def z_panel(
    comparisons: Any,
    *,
    routes: Sequence[str] | None = None,
    threshold_sigma: float = THRESHOLD_SIGMA,
    title: str | None = None,
) -> "Figure":
    """All comparisons of a run: dots within the threshold, crosses beyond.

    A row is one case and route, first layer on top, with the number inside.

    Args:
        comparisons: comparison Datasets, or name -> Dataset or z-scores [layers, ...].
        routes: to show; None shows all.
        threshold_sigma: largest |z| in agreement.

    Raises SpecError: no comparisons.
    """
    rows = _rows(comparisons, routes)
    if not rows:
        allowed = "at least one Dataset with a route that is shown"
        raise SpecError("no comparisons", allowed, "Check `routes`.")
    scores = [z[np.isfinite(z)] for _, _, z in rows]
    total, inside = (
        sum(z.size for z in scores),
        sum(int(np.sum(np.abs(z) < threshold_sigma)) for z in scores),
    )
    everything = np.concatenate([np.zeros(1), *scores])
    styles = route_styles([route for _, route, _ in rows if route])
    with styled():
        fig = new_figure(7.0, max(2.6, 1.5 + 0.42 * len(rows)))
        ax = fig.subplots()
        ax.axvspan(-threshold_sigma, threshold_sigma, color=BAND_COLOUR, zorder=0)
        ax.axvline(0.0, color=GREY, linewidth=0.8, zorder=1)
        for row, (_, route, z) in enumerate(rows):
            place = row + 0.6 * (np.linspace(0.0, 1.0, len(z)) - 0.5 if len(z) > 1 else np.zeros(1))
            heights = np.broadcast_to(place.reshape(-1, *(1,) * (z.ndim - 1)), z.shape)
            passed, failed = (
                np.abs(z) < threshold_sigma,
                np.isfinite(z) & (np.abs(z) >= threshold_sigma),
            )
            colour = styles[route].colour if route else GREY
            for marker, mask, size, edge, order in (
                ("o", passed, 3.2, 0.0, 3),
                ("x", failed, 5.0, 1.3, 4),
            ):
                style: Any = {"color": colour, "markersize": size, "markeredgewidth": edge}
                ax.plot(z[mask], heights[mask], marker, **style, zorder=order)
            text = f"{int(passed.sum())}/{int(np.isfinite(z).sum())}"
            ax.annotate(
                text, (1.01, row), xycoords=("axes fraction", "data"), va="center", fontsize=8.5
            )
        ax.set_yticks(range(len(rows)), [_row_name(case, route) for case, route, _ in rows])
        ax.set_ylim(len(rows) - 0.5, -0.5)
        ax.grid(visible=False, axis="y")
        score_axis(ax.xaxis, float(everything.min()), float(everything.max()), threshold_sigma)
        ax.set_xlabel(r"$z$ = (measured − predicted) / standard error")
        ax.annotate(
            f"within\n±{threshold_sigma:g}",
            (1.01, 1.0),
            xycoords="axes fraction",
            va="bottom",
            fontsize=8.5,
        )
        counted = f"All {total}" if inside == total else f"{inside} of {total}"
        heading = f"{counted} comparisons are within ±{threshold_sigma:g} standard errors"
        note = "one dot per comparison, first layer at the top of its row"
        note += ", crosses outside" * (inside < total)
        undefined = _hidden(sum(z.size for _, _, z in rows) - total)
        set_title(fig, title or heading, "; ".join(filter(None, (note, undefined))))
    return fig


def score_axis(
    axis: "XAxis | YAxis", smallest: float, largest: float, threshold_sigma: float
) -> None:
    """Axis: linear within the threshold, logarithmic beyond."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    low, high = (
        max(1.6 * threshold_sigma, -2.0 * smallest),
        max(1.6 * threshold_sigma, 2.0 * largest),
    )
    # The threshold keeps its share of a long axis.
    scale = max(1.5, 0.6 * math.log10(max(low, high) / threshold_sigma))
    vertical = axis.axis_name == "y"
    (axis.axes.set_yscale if vertical else axis.axes.set_xscale)(
        "symlog", linthresh=threshold_sigma, linscale=scale
    )
    (axis.axes.set_ylim if vertical else axis.axes.set_xlim)(-low, high)
    inside = scale / 0.9  # length of the linear half axis in decades, by matplotlib's definition
    length = 2.0 * inside + math.log10(low / threshold_sigma) + math.log10(high / threshold_sigma)
    room = 0.055 * length * (1.0 if vertical else 1.3)
    inner = [] if inside / 2.0 < room else [0.5 * threshold_sigma]
    negative, positive = (
        [*inner, threshold_sigma, *_outer_ticks(limit, threshold_sigma, room)]
        for limit in (low, high)
    )
    axis.set_major_locator(FixedLocator([*(-tick for tick in reversed(negative)), 0.0, *positive]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _tick_text(value)))


def _outer_ticks(limit: float, threshold_sigma: float, room: float) -> list[float]:
    """Powers of ten beyond the threshold, else 2 or 5 times such."""
    ticks: list[float] = []
    for decade in (10.0**k for k in range(-3, 300)):
        if (
            decade <= limit
            and math.log10(decade / (ticks[-1] if ticks else threshold_sigma)) > room
        ):
            ticks.append(decade)
    others = [m * 10.0**k for k in range(-3, 300) for m in (2.0, 5.0) if m * 10.0**k <= 0.9 * limit]
    if not ticks and others and math.log10(others[-1] / threshold_sigma) > 0.6 * room:
        ticks.append(others[-1])
    return ticks


def _tick_text(value: float) -> str:
    if abs(value) >= 1e4:
        return rf"${'-' if value < 0 else ''}10^{{{round(math.log10(abs(value)))}}}$"
    return f"{value:g}".replace("-", "−")


def _scores(curves: Curves, columns: Sequence[int]) -> dict[str, np.ndarray]:
    """z [layers, columns] by route; NaN without standard error."""
    (measured,) = curves.measured
    scores = {}
    for route in curves.predicted:
        z = route.z
        if z is None:  # of a Dataset without scores
            error = np.where(measured.standard_error > 0, measured.standard_error, np.nan)
            z = (measured.mean - route.value) / error
        scores[route.name] = z[:, columns]
    return scores


def _rows(comparisons: Any, routes: Sequence[str] | None) -> list[tuple[str, str, np.ndarray]]:
    """(case, route, z) per row; scores have no route."""
    if isinstance(comparisons, Mapping) and not is_dataset(comparisons):
        named = [(str(name), as_dataset(value)) for name, value in comparisons.items()]
    else:
        single = is_dataset(as_dataset(comparisons))
        datasets = [as_dataset(value) for value in ([comparisons] if single else comparisons)]
        names = [
            d.attrs.get("label") or d.attrs.get("symbol") or spaced(d.attrs.get("quantity", ""))
            for d in datasets
        ]
        named = list(zip(map(str, names), datasets, strict=True))
    rows = []
    for name, value in named:
        if not is_dataset(value):
            rows.append((name, "", np.atleast_1d(np.asarray(value, np.float64))))
            continue
        z = np.asarray(value["z"].transpose("theory", ..., "component").values, np.float64)
        if "judged" in value:
            z = np.where(value["judged"].transpose("theory", ..., "component").values, z, np.nan)
        for route, scores in zip((str(r) for r in value["theory"].values), z, strict=True):
            if routes is None or route in routes:
                rows.append((name, route, scores))
    return rows


def _row_name(case: str, route: str) -> str:
    import textwrap

    lines = [case] if "$" in case else textwrap.wrap(case, 32)  # mathtext stays on one line
    if len(lines) > 1:
        lines = textwrap.wrap(case, 32, max_lines=1 if route else 2, placeholder=" …")
    return "\n".join([*lines, *([spaced(route)] if route else [])])


def _hidden(count: int) -> str:
    return f"{count} comparison{'s' * (count > 1)} that cannot be judged not shown" if count else ""
