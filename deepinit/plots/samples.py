"""Histograms over networks, with predicted densities."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Numbers, Plain, Real
from deepinit.plots import validate
from deepinit.plots.style import (
    add_legend,
    new_figure,
    panel_grid,
    route_styles,
    set_title,
    spaced,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def histogram(
    samples: Real[Array, "seeds"] | Plain | Mapping[str, Numbers],
    *,
    density: Mapping[str, Any] | None = None,
    label: str = "",
    notes: Mapping[str, str] | str | None = None,
    title: str | None = None,
    num_bins: int = 50,
) -> "Figure":
    """Histograms over networks, of area 1, and predicted densities.

    Args:
        samples: or panel name ("layer 10") -> [seeds], at most six; non-finite values are counted
            apart.
        density: route -> (grid, density), by panel name if there are several.
        label: horizontal axis.
        notes: a line per panel.

    Raises SpecError: no finite values, other panels.
    """
    single = not isinstance(samples, Mapping)
    panels: dict[str, Any] = dict(samples) if isinstance(samples, Mapping) else {"": samples}
    curves: dict[str, Any] = ({"": density} if single else dict(density)) if density else {}
    headings = {"": notes} if isinstance(notes, str) else dict(notes or {})
    _check(panels, curves, headings)
    styles = route_styles(route for curve in curves.values() for route in curve)
    with styled():
        count = len(panels)
        fig = new_figure() if count == 1 else new_figure(9.0, 3.7 if count <= 3 else 6.2)
        axes = panel_grid(fig, count, label, "density", shared="")
        for ax, (name, values) in zip(axes, panels.items(), strict=True):
            values = np.asarray(values, np.float64).ravel()
            finite = values[np.isfinite(values)]
            ax.hist(
                finite,
                bins=num_bins,
                density=True,
                color="#c9c9c9",
                edgecolor="none",
                label="measured",
                zorder=2,
            )
            for route, (grid, curve) in curves.get(name, {}).items():
                style = styles[route]
                ax.plot(
                    grid,
                    curve,
                    color=style.colour,
                    linestyle=style.dash,
                    label=spaced(route),
                    zorder=3,
                )
            ax.set_ylim(bottom=0.0)
            margin = 0.1 * np.ptp(finite) or 1.0
            ax.set_xlim(finite.min() - margin, finite.max() + margin)
            excluded = values.size - finite.size
            lines = [
                name,
                headings.get(name) or "",
                f"{excluded} networks excluded" if excluded else "",
            ]
            ax.set_title("\n".join(line for line in lines if line))
        networks = max(np.size(values) for values in panels.values())
        set_title(fig, title or f"Distribution over {networks:,} networks")
        add_legend(fig, axes, lambda label: label != "measured")
    return fig


def _check(
    panels: Mapping[str, Any], curves: Mapping[str, Any], headings: Mapping[str, str]
) -> None:
    validate.num_panels(len(panels))
    validate.known("a curve or note", (*curves, *headings), list(panels))
    for name, values in panels.items():
        if not np.isfinite(np.asarray(values, np.float64)).any():
            given = f"no finite samples in panel {name!r}"
            raise SpecError(given, "at least one value", "Leave this layer out.")
