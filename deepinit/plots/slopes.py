"""Finite minus infinite width against 1/width: what is measured, and the line that theory predicts."""

from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import component_names
from deepinit.plots.series import MAX_PANELS, series_panels
from deepinit.plots.style import words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_LAYERS = 5


def width_slopes(
    comparison: Any,
    *,
    layers: tuple[int, ...] | None = None,
    pairs: tuple[int, ...] | None = None,
    title: str | None = None,
) -> "Figure":
    """A `WidthComparison` as points against 1/width with the predicted differences as lines: a panel for each pair, a colour for each layer.

    Args:
        comparison: of `di.compare_widths`, or its Dataset.
        layers: numbers of the layers (or steps) that are shown, at most five; None for a spread that keeps the last.
        pairs: indices of the pairs that are shown, at most six; None for the first ones.
        title: None for one that says what is shown.

    Returns:
        A matplotlib Figure; lines are the first finite-width prediction (0 without one).

    Raises:
        SpecError: layers or pairs that are not there, or too many of them.
    """
    data = getattr(comparison, "dataset", comparison)
    axis = next((name for name in ("layer", "step") if name in getattr(data, "dims", ())), None)
    if axis is None or "difference" not in data:
        raise SpecError(
            f"{type(comparison).__name__}", "what di.compare_widths returns", "Pass it as it is."
        )
    numbers = [int(number) for number in data[axis].values]
    spread = sorted(
        {numbers[round(place)] for place in np.geomspace(1, len(numbers), min(4, len(numbers))) - 1}
    )
    chosen = tuple(spread) if layers is None else layers
    places = tuple(range(min(data.sizes["pair"], MAX_PANELS))) if pairs is None else pairs
    absent = not (_are_among(chosen, numbers) and _are_among(places, range(data.sizes["pair"])))
    if absent or not 1 <= len(chosen) <= MAX_LAYERS:
        raise SpecError(
            f"layers {chosen!r} and pairs {places!r}",
            f"1 to {MAX_LAYERS} of the layers {numbers[0]} to {numbers[-1]}, pairs 0 to {data.sizes['pair'] - 1}",
            "Leave them out for a spread.",
        )
    route = str(data["route"].values[0])
    x = 1.0 / data["width"].values
    names = component_names([str(name) for name in data["pair"].values])
    symbol = str(data.attrs.get("symbol", "")) or words(data.attrs["quantity"])
    of_variance = data.attrs["statistic"] == "variance"
    panels = {}
    for place in places:
        points, lines = {}, {}
        for layer in chosen:
            one = data.sel({axis: layer}).isel(pair=place)
            name = f"{axis} {layer}"
            points[name] = (x, one["difference"].values, one["standard_error"].values)
            predicted = one["predicted_difference"].sel(route=route).values
            lines[name] = (np.append(x, 0.0)[::-1], np.append(predicted, 0.0)[::-1])
        panels[names[place] or symbol] = (points, lines)
    of = words(data.attrs["quantity"]) + (" (variance over networks)" if of_variance else "")
    return series_panels(
        panels,
        x_label=r"1 / width $n$",
        y_label=f"finite − infinite width of\n{'the variance of ' if of_variance else ''}{symbol}",
        title=title or f"{of}: finite less infinite width against 1/width",
        lines_are=words(route),
    )


def _are_among(chosen: Any, allowed: Any) -> bool:
    """A sequence of some of the allowed integers."""
    return isinstance(chosen, list | tuple | range) and all(
        isinstance(each, int | np.integer) and not isinstance(each, bool) and each in allowed
        for each in chosen
    )
