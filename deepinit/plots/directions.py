"""The plane of (weight, bias) of networks with one input: where neurons turn to, and where they point."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.style import BLACK, BLUE, add_legend, new_figure, panel_grid, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PANELS = 6
PREDICTED_COLOUR = BLUE
PREDICTED_LABEL = "predicted direction"
# a rim, so that dots can be counted where they lie together
DOTS: Any = {
    "color": BLACK,
    "markeredgecolor": "white",
    "markeredgewidth": 0.4,
    "markersize": 4.5,
    "alpha": 0.75,
}
INNER = 0.25  # radius of the smallest amplitude, so that its direction can still be seen
_ARROW_COLOUR = "#9a9a9a"


def direction_field(
    panels: Mapping[str, tuple[Any, Any]],
    *,
    orientations: Any = None,
    neurons: Any = None,
    place: Literal["circle", "log", "true"] = "circle",
    title: str,
    note: str = "",
    x_label: str = "weight $w$",
    y_label: str = "bias $b$",
) -> "Figure":
    """The direction of dw/dt over the plane (w, b) as arrows of one length, predicted directions as rays, neurons as dots.

    Neurons with a > 0 and with a < 0 move in opposite directions: give each sign a panel of its own.

    Args:
        panels: name -> (points [k, 2], velocities [k, 2]); where a velocity is zero or not finite there is no arrow. At most six.
        orientations: [K, 2] directions predicted to attract, of any length but zero, for all panels; or panel name -> [K, 2].
        neurons: [m, 2] for all panels, or panel name -> [m, 2]. What is zero or not finite is not drawn.
        place: of neurons: on a circle ("circle"), on it if the norm is the largest and closer to the origin by its logarithm
            ("log"), or at their coordinates ("true").
        title: the figure's message.
        note: what the data are, in words.
        x_label, y_label: of the axes.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than six, shapes that do not fit, a name that no panel has, an unknown place.
    """
    check_panels(panels)
    if place not in ("circle", "log", "true"):
        raise SpecError(
            f"place={place!r}", "'circle', 'log' or 'true'", "Choose where neurons are drawn."
        )
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
        add_legend(fig, *entries_of(axes))
    return fig


def entries_of(axes: Iterable["Axes"]) -> tuple[list[Any], list[str]]:
    """Handles and labels of all panels, for the figure's legend."""
    pairs = [pair for ax in axes for pair in zip(*ax.get_legend_handles_labels(), strict=True)]
    return [handle for handle, _ in pairs], [label for _, label in pairs]


def draw_rays(ax: "Axes", directions: np.ndarray | None, length: float) -> None:
    """A solid line from the origin along each predicted direction."""
    if directions is None:
        return
    for k, direction in enumerate(directions):
        end = length * direction / np.linalg.norm(direction)
        label = PREDICTED_LABEL if k == 0 else "_nolegend_"
        ax.plot(
            [0.0, end[0]],
            [0.0, end[1]],
            color=PREDICTED_COLOUR,
            linewidth=2.0,
            label=label,
            zorder=3,
        )


def placed(
    vectors: np.ndarray, radius: float, place: str, everyone: np.ndarray
) -> tuple[np.ndarray, str]:
    """Where vectors [m, 2] are drawn, those without a direction left out, and how the legend says so.

    Logarithms are counted from the largest norm of everyone, the norms in all panels.
    """
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
    return radius * radii[
        :, None
    ] * units, f"neuron (radius: norm, logarithmic over {decades:.1f} decades)"


def spread_in_decades(amplitudes: np.ndarray) -> float:
    """How many powers of ten positive amplitudes span, without their smallest 2 %: 1 to 8."""
    positive = amplitudes[np.isfinite(amplitudes) & (amplitudes > 0.0)]
    if not positive.size:
        return 1.0
    return float(
        np.clip(math.log10(positive.max()) - np.quantile(np.log10(positive), 0.02), 1.0, 8.0)
    )


def log_radii(amplitudes: np.ndarray, largest: float, decades: float) -> np.ndarray:
    """1 for the largest amplitude, falling with the logarithm to INNER after so many decades, and no further."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below = np.log10(amplitudes) - math.log10(largest or 1.0)
    return INNER + (1.0 - INNER) * np.clip(1.0 + below / decades, 0.0, 1.0)


def check_panels(panels: Mapping[str, Any]) -> None:
    """Refuses no panels, and more than six."""
    if not 1 <= len(panels) <= MAX_PANELS:
        raise SpecError(f"{len(panels)} panels", f"1 to {MAX_PANELS}", "Choose a few.")


def pair_of(name: str, pair: Any, wanted: str) -> tuple[Any, Any]:
    """The two arrays of a panel."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise SpecError(f"{name}: {type(pair).__name__}", wanted, "Give every panel two arrays.")
    return pair[0], pair[1]


def per_panel(
    what: str, values: Any, panels: Iterable[str], read: Any
) -> dict[str, np.ndarray | None]:
    """One array for each panel (or None), from one for all of them or from a mapping of panel names."""
    names = list(panels)
    if values is None or not isinstance(values, Mapping):
        array = None if values is None else read(what, values)
        return dict.fromkeys(names, array)
    for name in values:
        if name not in names:
            raise SpecError(
                f"{what} for the panel {name!r}", f"one of {names}", "Use the panels' names."
            )
    return {
        name: read(f"{what} of {name}", values[name]) if name in values else None for name in names
    }


def as_vectors(what: str, values: Any) -> np.ndarray:
    """[m, 2]; refuses anything else."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[1] != 2:
        raise SpecError(
            f"{what} of shape {array.shape}",
            "[m, 2], (weight, bias) of networks with one input",
            "Check them.",
        )
    return array


def as_directions(what: str, values: Any) -> np.ndarray:
    """[K, 2], finite and not zero."""
    array = as_vectors(what, values)
    if not (np.isfinite(array).all() and array.any(axis=1).all()):
        raise SpecError(
            f"{what} with a row that is zero or not finite", "directions", "Leave that row out."
        )
    return array


def _field(name: str, points: Any, velocities: Any) -> tuple[np.ndarray, np.ndarray]:
    """Points and unit arrows where the velocity has a direction."""
    points, velocities = (
        as_vectors(f"points of {name}", points),
        as_vectors(f"velocities of {name}", velocities),
    )
    if (
        points.shape != velocities.shape
        or not len(points)
        or not np.isfinite(points).all()
        or not points.any()
    ):
        raise SpecError(
            f"{name}: points of shape {points.shape} and velocities of shape {velocities.shape}",
            "equal shapes [k, 2], k >= 1, and finite points, not all at the origin",
            "Give every point its velocity.",
        )
    sizes = np.max(np.abs(velocities), axis=1)
    drawn = np.isfinite(sizes) & (sizes > 0.0)
    scaled = velocities[drawn] / sizes[drawn, None]  # velocities near 1e-200 are directions too
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
    """Half the side of the panel: all points, and neurons where they stand at their coordinates."""
    sizes = np.abs(points).max(initial=0.0)
    if neurons is not None:
        sizes = max(sizes, np.abs(neurons[np.isfinite(neurons)]).max(initial=0.0))
    return 1.06 * float(sizes) or 1.0


def _size(count: int) -> tuple[float, float]:
    """Width and height that leave little room around square panels."""
    return {1: (5.0, 5.4), 2: (9.0, 5.3), 3: (9.0, 4.1), 4: (7.0, 7.2)}.get(count, (9.0, 6.6))
