"""Figures of a sweep: lines over one swept name, a heat map over two."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.sweep_results import SweepResult
from deepinit.plots.style import (
    BLACK,
    add_legend,
    new_figure,
    route_styles,
    set_title,
    spaced,
    styled,
)

if TYPE_CHECKING:
    import xarray
    from matplotlib.figure import Figure

_COLOURS = "viridis"
_MOST_TICKS = 9


def sweep(
    result: SweepResult,
    *,
    layer: int | None = None,
    component: int = 0,
    variable: str = "mean",
    predictions: Mapping[str, SweepResult] | None = None,
    title: str = "",
    note: str = "",
) -> "Figure":
    """Values over the swept names: with error bars over one, as colours over two.

    Args:
        layer: along the axis, from 1; None for the last.
        component: index.
        variable: of the dataset.
        predictions: name -> `di.predict` or `di.infinite` of the same sweep, as lines over one
            name.

    Raises SpecError: another number of swept names (select first: `result.dataset.isel`), an
        unknown variable, layer or component.
    """
    dims = _dims(result)
    if len(dims) not in (1, 2):
        given = f"a sweep over {len(dims)} names: {', '.join(dims)}"
        raise SpecError(given, "one or two", "Sweep over fewer, or plot result.dataset.isel(...).")
    values = _at(result, variable, layer, component)
    label = result.symbol or spaced(result.dataset.attrs["quantity"])
    if variable != "mean":
        label = f"{spaced(variable)} of {label}"
    with styled():
        if len(dims) == 2:
            fig = _heat_map(values, dims, label)
        else:
            errors = None
            if variable == "mean" and "standard_error" in result.dataset:
                errors = _at(result, "standard_error", layer, component)
            others = {
                name: _at(other, variable, layer, component)
                for name, other in (predictions or {}).items()
            }
            fig = _lines(values, errors, others, dims[0], label)
        set_title(fig, title or f"{label} by {' and '.join(dims)}", note)
    return fig


def _dims(result: SweepResult) -> tuple[str, ...]:
    return tuple(map(str, result.dataset["mean"].dims[:-2]))


def _at(
    result: SweepResult, variable: str, layer: int | None, component: int
) -> "xarray.DataArray":
    if variable not in result.dataset:
        names = ", ".join(map(str, result.dataset))
        raise SpecError(f"variable={variable!r}", names, "Check the spelling.")
    values = result.dataset[variable]
    *_, axis, last = values.dims
    count = values.sizes[axis]
    number = count if layer is None else layer
    if not 1 <= number <= count:
        raise SpecError(f"layer={layer!r}", f"1 to {count}, or None for the last", "")
    if not 0 <= component < values.sizes[last]:
        raise SpecError(f"component={component!r}", f"0 to {values.sizes[last] - 1}", "")
    return values.isel({axis: number - 1, last: component})


def _lines(values: Any, errors: Any, others: dict[str, Any], name: str, label: str) -> "Figure":
    """`values` [points]."""
    fig = new_figure()
    ax = fig.subplots()
    x, ticks = _places(values, name)
    bars = None if errors is None else errors.values
    ax.errorbar(x, values.values, bars, fmt="o", ms=3.5, color=BLACK, label="simulated", zorder=3)
    styles = route_styles(others)
    for route, other in others.items():
        style = styles[route]
        ax.plot(x, other.values, color=style.colour, linestyle=style.dash, label=route)
    if ticks is not None:
        ax.set_xticks(x, ticks)
    ax.set_xlabel(name)
    ax.set_ylabel(label)
    if others:
        add_legend(fig, [ax])
    return fig


def _heat_map(values: Any, dims: tuple[str, ...], label: str) -> "Figure":
    """Rows are the first name, from below; cells of equal size."""
    fig = new_figure(7.0, 5.2)
    ax = fig.subplots()
    image = ax.imshow(values.values, origin="lower", aspect="auto", cmap=_COLOURS)
    for axis, name in ((ax.yaxis, dims[0]), (ax.xaxis, dims[1])):
        count = values.sizes[name]
        shown = sorted({round(at) for at in np.linspace(0, count - 1, min(count, _MOST_TICKS))})
        axis.set_ticks(shown, [_text(values[name].values[at]) for at in shown])
    ax.grid(False)
    ax.set_ylabel(dims[0])
    ax.set_xlabel(dims[1])
    fig.colorbar(image, ax=ax, label=label)
    return fig


def _places(values: Any, name: str) -> tuple[np.ndarray, list[str] | None]:
    """Horizontal positions, and texts for values that are no numbers."""
    given = values[name].values if name in values.coords else np.arange(values.size)
    if given.dtype.kind in "fiu":
        return given, None
    return np.arange(len(given)), [_text(value) for value in given]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float | np.floating) else str(value)
