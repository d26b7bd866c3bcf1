"""Pairs of images above what happens to them, layer by layer."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs
from deepinit.plots.curves import read_curves
from deepinit.plots.per_layer import draw_means, legend_entries
from deepinit.plots.style import add_legend, new_figure, set_title, styled, words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_PAIRS = 4


def image_pairs(
    inputs: Inputs, *results: Any, title: str | None = None, symbol: str | None = None
) -> "Figure":
    """Each pair of square images, and below it the per-layer curve of that pair.

    Args:
        inputs: whose points and partners [pairs, side * side] are images in grey (0 white, 1 black); at most the
            first four pairs are shown.
        results: Estimates and Predictions [layers, pairs], or one comparison Dataset; none shows the images alone.
        title: None for one that says what is shown.
        symbol: of the quantity, in mathtext; None takes that of the results.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: inputs that are not square images, or results for another number of pairs.
    """
    side = math.isqrt(inputs.dimension)
    if side * side != inputs.dimension or side < 2:
        raise SpecError(
            f"inputs of dimension {inputs.dimension}",
            "a square number of pixels, such as 784",
            "Use di.inputs.image_pairs.",
        )
    curves = read_curves(results, symbol) if results else None
    if curves is not None and len(curves.pairs) != inputs.num_pairs:
        raise SpecError(
            f"results for {len(curves.pairs)} pairs and {inputs.num_pairs} pairs of images",
            "the inputs that were simulated",
            "Pass the same inputs.",
        )
    count = min(inputs.num_pairs, MAX_PAIRS)
    first, second = inputs.points[list(inputs.bases)], inputs.partners
    with styled():
        width = {1: 5.6, 2: 6.4}.get(count, 8.8)
        fig = new_figure(width, 4.8 if curves else 1.9)
        cells = fig.add_gridspec(
            2 if curves else 1, 2 * count, height_ratios=(1.0, 2.3) if curves else None
        )
        panels: list[Any] = []
        for k in range(count):
            for place, pixels in enumerate((first[k], second[k])):
                ax = fig.add_subplot(cells[0, 2 * k + place])
                largest = max(float(np.max(first[k])), float(np.max(second[k])))
                ax.imshow(
                    pixels.reshape(side, side),
                    cmap="gray_r",
                    vmin=0.0,
                    vmax=largest,
                    interpolation="nearest",
                )
                ax.set_xticks([])
                ax.set_yticks([])
                ax.grid(visible=False)
                ax.set_anchor("E" if place == 0 else "W")
                ax.spines[:].set(visible=True, color="#cccccc")
                if place == 0:
                    ax.set_title(rf"angle {math.degrees(inputs.angles[k]):.0f}°")
            if curves is not None:
                shared = panels[0] if panels else None
                ax = fig.add_subplot(cells[1, 2 * k : 2 * k + 2], sharex=shared, sharey=shared)
                draw_means(ax, curves, k)
                ax.tick_params(labelleft=k == 0)
                ax.set_xlabel(r"layer $\ell$")
                panels.append(ax)
        note = f"{count} of {inputs.num_pairs} pairs shown" if count < inputs.num_pairs else ""
        if curves is not None:
            panels[0].set_ylabel(curves.axis_label)
            note = curves.data_note(list(range(count)))
            add_legend(fig, *legend_entries(panels))
        heading = (
            f"{words(curves.quantity)} between real images, layer by layer"
            if curves
            else "Pairs of images"
        )
        set_title(fig, title or heading.capitalize(), note)
    return fig
