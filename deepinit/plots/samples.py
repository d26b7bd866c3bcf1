"""The distribution over networks at chosen layers, against predicted densities."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.style import (
    add_legend,
    new_figure,
    panel_grid,
    route_styles,
    set_title,
    styled,
    words,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PANELS = 6


def histogram(
    samples: Any,
    *,
    density: Mapping[str, Any] | None = None,
    label: str = "",
    notes: Mapping[str, str] | str | None = None,
    title: str | None = None,
    num_bins: int = 50,
) -> "Figure":
    """Histograms over networks, normalized to area 1, with predicted densities drawn over them: a row of panels.

    Args:
        samples: [seeds] for one panel; or a mapping from panel names ("layer 10") to [seeds], at most six. Values that
            are not finite are left out and counted in the panel.
        density: for one panel, a mapping from route names to (grid, density); for several, a mapping from panel names
            to such mappings.
        label: name and symbol of the quantity, for the horizontal axis.
        notes: a line per panel name, such as a Kolmogorov-Smirnov distance, written into the panel's heading.
        title: None for one that says what is shown.
        num_bins: bins between the smallest and the largest value.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no finite values, more than six panels, a density or note for a panel that is not there.
    """
    single = not isinstance(samples, Mapping)
    panels = {"": samples} if single else dict(samples)
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
                    label=words(route),
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
        entries = [
            entry for ax in axes for entry in zip(*ax.get_legend_handles_labels(), strict=True)
        ]
        entries.sort(key=lambda entry: entry[1] != "measured")
        networks = max(np.size(values) for values in panels.values())
        heading = title or f"Distribution over {networks:,} networks"
        set_title(fig, heading)
        add_legend(fig, [handle for handle, _ in entries], [text for _, text in entries])
    return fig


def _check(
    panels: Mapping[str, Any], curves: Mapping[str, Any], headings: Mapping[str, str]
) -> None:
    if not 1 <= len(panels) <= MAX_PANELS:
        raise SpecError(f"{len(panels)} panels", f"1 to {MAX_PANELS}", "Choose a few layers.")
    for name in (*curves, *headings):
        if name not in panels:
            raise SpecError(
                f"a curve or note for the panel {name!r}",
                f"one of {list(panels)}",
                "Use the panels' names.",
            )
    for name, values in panels.items():
        if not np.isfinite(np.asarray(values, np.float64)).any():
            raise SpecError(
                f"no finite samples in panel {name!r}",
                "at least one value",
                "Leave this layer out.",
            )
