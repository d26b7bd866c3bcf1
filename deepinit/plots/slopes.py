"""Finite minus infinite width against 1/width."""

from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.results import component_names
from deepinit.plots.series import series_panels
from deepinit.plots.style import spaced
from deepinit.plots.validate import MAX_PANELS

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
    """Differences of a `WidthComparison` against 1/width, by pair and layer.

    Points are measured; lines are the first finite-width prediction, or 0.

    Args:
        comparison: of `di.compare_widths`, or its Dataset.
        layers: numbers of at most five; None spreads them.
        pairs: indices of at most six; None for the first.

    Raises SpecError: unknown or too many layers or pairs.
    """
    data = getattr(comparison, "dataset", comparison)
    axis = next((name for name in ("layer", "step") if name in getattr(data, "dims", ())), None)
    if axis is None or "difference" not in data:
        allowed = "the result of di.compare_widths"
        raise SpecError(type(comparison).__name__, allowed, "Pass it unchanged.")
    numbers = [int(number) for number in data[axis].values]
    spread = sorted(
        {numbers[round(place)] for place in np.geomspace(1, len(numbers), min(4, len(numbers))) - 1}
    )
    chosen = tuple(spread) if layers is None else layers
    places = tuple(range(min(data.sizes["component"], MAX_PANELS))) if pairs is None else pairs
    absent = not (
        _are_among(chosen, numbers) and _are_among(places, range(data.sizes["component"]))
    )
    if absent or not 1 <= len(chosen) <= MAX_LAYERS:
        allowed = f"1 to {MAX_LAYERS} of the layers {numbers[0]} to {numbers[-1]}"
        allowed += f", pairs 0 to {data.sizes['component'] - 1}"
        given = f"layers {chosen!r} and pairs {places!r}"
        raise SpecError(given, allowed, "Leave them out for a spread.")
    route = str(data["theory"].values[0])
    x = 1.0 / data["width"].values
    names = component_names([str(name) for name in data["component"].values])
    symbol = str(data.attrs.get("symbol", "")) or spaced(data.attrs["quantity"])
    of_variance = data.attrs["statistic"] == "variance"
    panels = {}
    for place in places:
        points, lines = {}, {}
        for layer in chosen:
            values = data.sel({axis: layer}).isel(component=place)
            name = f"{axis} {layer}"
            points[name] = (x, values["difference"].values, values["standard_error"].values)
            predicted = values["predicted_difference"].sel(theory=route).values
            lines[name] = (np.append(x, 0.0)[::-1], np.append(predicted, 0.0)[::-1])
        panels[names[place] or symbol] = (points, lines)
    quantity = spaced(data.attrs["quantity"]) + (" (variance over networks)" * of_variance)
    return series_panels(
        panels,
        x_label=r"1 / width $n$",
        y_label=f"finite − infinite width of\n{'the variance of ' if of_variance else ''}{symbol}",
        title=title or f"{quantity}: finite less infinite width against 1/width",
        lines_are=spaced(route),
    )


def _are_among(chosen: Any, allowed: Any) -> bool:
    """Whether all chosen are allowed integers."""
    return isinstance(chosen, list | tuple | range) and all(
        isinstance(each, int | np.integer) and not isinstance(each, bool) and each in allowed
        for each in chosen
    )
