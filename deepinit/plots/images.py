"""Images above per-layer results."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.plots import validate
from deepinit.plots.curves import read_curves
from deepinit.plots.per_layer import draw_means, legend_rank
from deepinit.plots.style import add_legend, new_figure, set_title, spaced, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_PAIRS = 4
MAX_CURVES = 3
PICTURES = 5


def image_pairs(
    inputs: Inputs, *results: Any, title: str | None = None, symbol: str | None = None
) -> "Figure":
    """Pairs of square images, each above its per-layer curve.

    Args:
        inputs: pairs [pairs, side * side], grey from 0 (white) to 1 (black); four are shown.
        results: Estimates and Predictions [layers, pairs], one comparison Dataset, or nothing.

    Raises SpecError: no square images, or results for another number of pairs.
    """
    side = _side("inputs of", inputs.dimension, "Use di.inputs.image_pairs.")
    curves = read_curves(results, symbol) if results else None
    if curves is not None and len(curves.pairs) != inputs.num_pairs:
        given = f"results for {len(curves.pairs)} pairs and {inputs.num_pairs} pairs of images"
        raise SpecError(given, "the inputs that were simulated", "Pass the same inputs.")
    count = min(inputs.num_pairs, MAX_PAIRS)
    first, second = inputs.points[list(inputs.bases)], inputs.partners
    rows, ratios = (2, (1.0, 2.3)) if curves else (1, None)
    with styled():
        fig = new_figure({1: 5.6, 2: 6.4}.get(count, 8.8), 4.8 if curves else 1.9)
        cells = fig.add_gridspec(rows, 2 * count, height_ratios=ratios)
        panels: list[Any] = []
        for k in range(count):
            largest = max(float(np.max(first[k])), float(np.max(second[k])))
            for place, pixels in enumerate((first[k], second[k])):
                ax = fig.add_subplot(cells[0, 2 * k + place])
                _draw_image(ax, pixels.reshape(side, side), largest)
                ax.set_anchor("E" if place == 0 else "W")
                if place == 0:
                    ax.set_title(rf"angle {math.degrees(inputs.angles[k]):.0f}°")
            if curves is not None:
                shared = panels[0] if panels else None
                ax = fig.add_subplot(cells[1, 2 * k : 2 * k + 2], sharex=shared, sharey=shared)
                draw_means(ax, curves, k)
                ax.tick_params(labelleft=k == 0)
                ax.set_xlabel(r"layer $\ell$")
                panels.append(ax)
        heading = "Pairs of images"
        note = f"{count} of {inputs.num_pairs} pairs shown" if count < inputs.num_pairs else ""
        if curves is not None:
            panels[0].set_ylabel(curves.axis_label)
            heading = f"{spaced(curves.quantity)} between real images, layer by layer"
            note = curves.data_note(list(range(count)))
            add_legend(fig, panels, legend_rank)
        set_title(fig, title or heading.capitalize(), note)
    return fig


def curve_images(
    curves: Mapping[str, tuple[Curve, Any]], *, title: str | None = None, symbol: str | None = None
) -> "Figure":
    """Images at equal steps along curves, above per-layer results.

    `curves`: one to three, name -> (curve of images [side * side], comparison Dataset); grey is
    clipped to 0 (white) to 1 (black).
    Raises SpecError: other numbers, or no square images.
    """
    validate.num_panels(len(curves), MAX_CURVES, "curves")
    remedy = "Use di.curves.image_line or di.curves.image_circle."
    sides = [_side("a curve in", curve.dimension, remedy) for curve, _ in curves.values()]
    with styled():
        count = len(curves)
        fig = new_figure({1: 6.0, 2: 8.4}.get(count, 9.0), 4.8)
        columns = fig.add_gridspec(1, count)
        panels: list[Any] = []
        for k, (name, (curve, result)) in enumerate(curves.items()):
            cells = columns[k].subgridspec(2, PICTURES, height_ratios=(1.0, 3.6))
            # The end of a closed curve is its start.
            steps = np.linspace(curve.start, curve.stop, PICTURES, endpoint=not curve.is_closed)
            for place, pixels in enumerate(curve.points(steps)):
                image = pixels.reshape(sides[k], sides[k])
                _draw_image(fig.add_subplot(cells[0, place]), image, 1.0)
            data = read_curves((result,), symbol)
            ax = fig.add_subplot(cells[1, :], sharex=panels[0] if panels else None)
            ax.set_title(name)
            draw_means(ax, data, 0)
            ax.set_xlabel(r"layer $\ell$")
            panels.append(ax)
        panels[0].set_ylabel(data.axis_label)
        note = f"{data.num_seeds:,} networks each; pictures: {PICTURES} points along the curve"
        set_title(fig, title or f"{spaced(data.quantity)} between real images".capitalize(), note)
        add_legend(fig, panels, legend_rank)
    return fig


def _side(name: str, dimension: int, remedy: str) -> int:
    side = math.isqrt(dimension)
    if side * side != dimension or side < 2:
        allowed = "a square number of pixels, such as 784"
        raise SpecError(f"{name} dimension {dimension}", allowed, remedy)
    return side


def _draw_image(ax: "Axes", image: np.ndarray, largest: float) -> None:
    ax.imshow(image, cmap="gray_r", vmin=0.0, vmax=largest, interpolation="nearest")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[:].set(visible=True, color="#cccccc")
