"""Curves between images: pictures along each curve, above what happens to its length layer by layer."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.plots.curves import read_curves
from deepinit.plots.per_layer import draw_means, legend_entries
from deepinit.plots.style import add_legend, new_figure, set_title, styled, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_CURVES = 3
PICTURES = 5


def curve_images(
    curves: Mapping[str, tuple[Curve, Any]], *, title: str | None = None, symbol: str | None = None
) -> "Figure":
    """Pictures at equal steps along each curve (of a closed one without its end, which is its start), and its per-layer results below.

    Args:
        curves: name -> (curve through square images [side * side], its comparison Dataset), at most three. Grey values are
            cut to 0 (white) to 1 (black).
        title: None for one that says what is shown.
        symbol: of the quantity, in mathtext; None takes that of the results.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no curve, more than three, or one whose points are not square images.
    """
    if not 1 <= len(curves) <= MAX_CURVES:
        raise SpecError(f"{len(curves)} curves", f"1 to {MAX_CURVES}", "Choose a few.")
    for curve, _ in curves.values():
        if math.isqrt(curve.dimension) ** 2 != curve.dimension or curve.dimension < 4:
            raise SpecError(
                f"a curve in dimension {curve.dimension}",
                "a square number of pixels, such as 784",
                "Use di.curves.image_line or di.curves.image_circle.",
            )
    with styled():
        count = len(curves)
        fig = new_figure({1: 6.0, 2: 8.4}.get(count, 9.0), 4.8)
        columns = fig.add_gridspec(1, count)
        panels: list[Any] = []
        for k, (name, (curve, result)) in enumerate(curves.items()):
            cells = columns[k].subgridspec(2, PICTURES, height_ratios=(1.0, 3.6))
            side = math.isqrt(curve.dimension)
            steps = np.linspace(curve.start, curve.stop, PICTURES, endpoint=not curve.is_closed)
            for place, pixels in enumerate(curve.points(steps)):
                ax = fig.add_subplot(cells[0, place])
                ax.imshow(
                    pixels.reshape(side, side),
                    cmap="gray_r",
                    vmin=0.0,
                    vmax=1.0,
                    interpolation="nearest",
                )
                ax.set_xticks([])
                ax.set_yticks([])
                ax.grid(visible=False)
                ax.spines[:].set(visible=True, color="#cccccc")
            data = read_curves((result,), symbol)
            ax = fig.add_subplot(cells[1, :], sharex=panels[0] if panels else None)
            ax.set_title(name)
            draw_means(ax, data, 0)
            ax.set_xlabel(r"layer $\ell$")
            panels.append(ax)
        panels[0].set_ylabel(data.axis_label)
        note = f"{data.num_seeds:,} networks each; pictures: {PICTURES} points along the curve"
        set_title(fig, title or f"{words(data.quantity)} between real images".capitalize(), note)
        add_legend(fig, *legend_entries(panels))
    return fig
