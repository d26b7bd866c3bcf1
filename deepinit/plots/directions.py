"""Direction fields in the plane (weight, bias)."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Numbers, Plain, Real
from deepinit.core.validate import choice
from deepinit.plots import validate
from deepinit.plots.style import BLACK, BLUE, add_legend, new_figure, panel_grid, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PREDICTED_COLOUR = BLUE
PREDICTED_LABEL = "predicted direction"
# A rim separates overlapping dots.
DOTS: Any = {
    "color": BLACK,
    "markeredgecolor": "white",
    "markeredgewidth": 0.4,
    "markersize": 4.5,
    "alpha": 0.75,
}
INNER = 0.25  # radius of the smallest amplitude, at which a direction is still visible
_ARROW_COLOUR = "#9a9a9a"


def direction_field(
    panels: Mapping[str, tuple[Numbers, Numbers]],
    *,
    orientations: Real[Array, "K 2"] | Plain | Mapping[str, Numbers] | None = None,
    neurons: Real[Array, "m 2"] | Plain | Mapping[str, Numbers] | None = None,
    place: Literal["circle", "log", "true"] = "circle",
    title: str,
    note: str = "",
    x_label: str = "weight $w$",
    y_label: str = "bias $b$",
) -> "Figure":
    """Unit arrows along dw/dt in (w, b), rays at predictions, dots at neurons.

    One panel for each sign of a: neurons move in opposite directions. Zero and non-finite
    velocities and neurons are not drawn.

    Args:
        panels: one to six, name -> (points [k, 2], velocities [k, 2]).
        orientations: attracting directions [K, 2], non-zero; or panel name -> [K, 2].
        neurons: [m, 2], or panel name -> [m, 2].
        place: of neurons: "circle", "log" (on it for the largest norm, else closer to the origin by
            the logarithm), "true" (coordinates).

    Raises SpecError: other shapes, panels or places.
    """
    validate.num_panels(len(panels))
    choice("place", place, ("circle", "log", "true"))
    fields = {
        name: _field(name, *pair_of(name, pair, "(points, velocities)"))
        for name, pair in panels.items()
    }
    rays = per_panel("orientations", orientations, panels, as_directions)
    dots = per_panel("neurons", neurons, panels, as_vectors)
    norms = [np.hypot(*vectors.T) for vectors in dots.values() if vectors is not None]
    everyone = (
        np.concatenate([values[np.isfinite(values)] for values in norms]) if norms else np.zeros(0)
    )
    with styled():
        fig = new_figure(*_size(len(panels)))
        axes = panel_grid(fig, len(panels), x_label, y_label, shared="")
        for ax, (name, (points, arrows)) in zip(axes, fields.items(), strict=True):
            reach = _reach(points, dots[name] if place == "true" else None)
            _draw_arrows(ax, points, arrows)
            draw_rays(ax, rays[name], 2.0 * reach)
            vectors = dots[name]
            if vectors is not None:
                shown, label = placed(vectors, 0.85 * reach, place, everyone)
                ax.plot(*shown.T, "o", **DOTS, label=label, zorder=4)
            ax.set_xlim(-reach, reach)
            ax.set_ylim(-reach, reach)
            ax.set_aspect("equal")
            if len(panels) > 1:
                ax.set_title(name)
        set_title(fig, title, "; ".join(filter(None, (note, "arrows: direction of $\\dot w$"))))
        add_legend(fig, axes)
    return fig


def draw_rays(ax: "Axes", directions: np.ndarray | None, length: float) -> None:
    """Lines from the origin along predicted directions."""
    if directions is None:
        return
    for k, direction in enumerate(directions):
        end = length * direction / np.linalg.norm(direction)
        style: Any = {
            "label": PREDICTED_LABEL if k == 0 else "_nolegend_",
            "color": PREDICTED_COLOUR,
        }
        ax.plot([0.0, end[0]], [0.0, end[1]], **style, linewidth=2.0, zorder=3)


def placed(
    vectors: np.ndarray, radius: float, place: str, everyone: np.ndarray
) -> tuple[np.ndarray, str]:
    """Positions of vectors with a direction, and legend text; `everyone` has the largest norm."""
    vectors = vectors[np.isfinite(vectors).all(axis=1)]
    norms = np.hypot(*vectors.T)
    vectors, norms = vectors[norms > 0.0], norms[norms > 0.0]
    if place == "true":
        return vectors, "neuron"
    units = vectors / norms[:, None]
    if place == "circle":
        return radius * units, "neuron, on the circle by its direction"
    decades = spread_in_decades(everyone)
    radii = log_radii(norms, everyone.max(initial=0.0), decades)
    label = f"neuron (radius: norm, logarithmic over {decades:.1f} decades)"
    return radius * radii[:, None] * units, label


def spread_in_decades(amplitudes: np.ndarray) -> float:
    """Decades of amplitudes without the smallest 2 %, 1 to 8."""
    positive = amplitudes[np.isfinite(amplitudes) & (amplitudes > 0.0)]
    if not positive.size:
        return 1.0
    decades = math.log10(positive.max()) - np.quantile(np.log10(positive), 0.02)
    return float(np.clip(decades, 1.0, 8.0))


def log_radii(amplitudes: np.ndarray, largest: float, decades: float) -> np.ndarray:
    """From 1, logarithmically down to INNER over `decades`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.log10(amplitudes) - math.log10(largest or 1.0)
    return INNER + (1.0 - INNER) * np.clip(1.0 + below / decades, 0.0, 1.0)


def pair_of(name: str, pair: Any, wanted: str) -> tuple[Any, Any]:
    """The two arrays of a panel."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise SpecError(f"{name}: {type(pair).__name__}", wanted, "Give every panel two arrays.")
    return pair[0], pair[1]


def per_panel(
    name: str, values: Any, panels: Iterable[str], read: Any
) -> dict[str, np.ndarray | None]:
    """An array (or None) per panel."""
    panels = list(panels)
    if not isinstance(values, Mapping):
        return dict.fromkeys(panels, None if values is None else read(name, values))
    validate.known(name, values, panels)
    arrays = {panel: read(f"{name} of {panel}", values[panel]) for panel in values}
    return {panel: arrays.get(panel) for panel in panels}


def as_vectors(name: str, values: Real[Array, "m 2"] | Plain) -> np.ndarray:
    """[m, 2]."""
    (array,) = validate.shaped("", f"{name} [m, 2]", values, least=0)
    return array


def as_directions(name: str, values: Real[Array, "K 2"] | Plain) -> np.ndarray:
    """[K, 2], finite and non-zero."""
    array = as_vectors(name, values)
    if not (np.isfinite(array).all() and array.any(axis=1).all()):
        given = f"{name} with a row that is zero or not finite"
        raise SpecError(given, "directions", "Leave that row out.")
    return array


def _field(name: str, points: Any, velocities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit arrows."""
    points, velocities = validate.shaped(
        name, "points [k, 2], velocities [k, 2]", points, velocities
    )
    if not (np.isfinite(points).all() and points.any()):
        allowed = "finite points, not all at the origin"
        raise SpecError(f"{name}: points without an extent", allowed, "Check the points.")
    sizes = np.max(np.abs(velocities), axis=1)
    drawn = np.isfinite(sizes) & (sizes > 0.0)
    scaled = velocities[drawn] / sizes[drawn, None]  # velocities of 1e-200 are directions too
    return points[drawn], scaled / np.hypot(*scaled.T)[:, None]


def _draw_arrows(ax: "Axes", points: np.ndarray, arrows: np.ndarray) -> None:
    if not len(points):
        return
    extent = np.ptp(points, axis=0)
    spacing = math.sqrt(max(float(extent[0] * extent[1]), 1e-12) / len(points)) or 1.0
    settings: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "units": "xy", "pivot": "mid"}
    ax.quiver(
        *points.T,
        *arrows.T,
        **settings,
        scale=1.25 / spacing,
        width=0.07 * spacing,
        headwidth=4.5,
        headlength=4.5,
        headaxislength=4.0,
        color=_ARROW_COLOUR,
        zorder=2,
    )


def _reach(points: np.ndarray, neurons: np.ndarray | None) -> float:
    """Half the side of the panel."""
    sizes = np.abs(points).max(initial=0.0)
    if neurons is not None:
        sizes = max(sizes, np.abs(neurons[np.isfinite(neurons)]).max(initial=0.0))
    return 1.06 * float(sizes) or 1.0


def _size(count: int) -> tuple[float, float]:
    """Inches of square panels."""
    return {1: (5.0, 5.4), 2: (9.0, 5.3), 3: (9.0, 4.1), 4: (7.0, 7.2)}.get(count, (9.0, 6.6))
