"""Heat maps of cosine similarities between the input vectors of a layer's neurons."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.style import new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MAX_HEAT_MAPS = 12
DIVERGING = "RdBu_r"  # blue, white, red: told apart with the common colour-vision deficiencies
MISSING = "#bdbdbd"
SIMILARITY_LABEL = r"cosine similarity $D(w_i, w_j)$"
_ROUNDING = 1e-4  # a cosine in float32 may exceed 1 by its rounding errors


def similarities(
    panels: Mapping[str, Any], *, title: str, note: str = "", columns: int = 3
) -> "Figure":
    """One heat map of cosine similarities for each panel, from -1 (blue) through 0 (white) to 1 (red), with one colour bar.

    Neurons are shown in the order in which they are given: sort them first, so that equal orientations stand together.

    Args:
        panels: name -> [m, m] cosines in [-1, 1]; m may differ from panel to panel. What is not finite (a neuron without
            orientation) is grey. At most twelve panels.
        title: the figure's message.
        note: what the data are, in words.
        columns: the most panels side by side.

    Returns:
        A matplotlib Figure.

    Raises:
        SpecError: no panel or more than twelve, no column, or what is no square matrix of cosines.
    """
    if not 1 <= len(panels) <= MAX_HEAT_MAPS:
        raise SpecError(
            f"{len(panels)} panels", f"1 to {MAX_HEAT_MAPS}", "Choose a few moments or layers."
        )
    if columns < 1:
        raise SpecError(f"columns={columns}", "1 or more", "Write columns=3.")
    cosines = {name: as_cosines(name, values) for name, values in panels.items()}
    down = -(-len(cosines) // columns)
    across = -(-len(cosines) // down)  # rows of nearly equal length
    with styled():
        side = min(2.6, 8.0 / across) if len(cosines) > 1 else 4.0
        fig = new_figure(max(across * side + 1.3, 4.4), down * (side + 0.3) + 0.9)
        grid = list(fig.subplots(down, across, squeeze=False).flat)
        for ax in grid[len(cosines) :]:
            ax.set_visible(False)
        axes = grid[: len(cosines)]
        for ax, (name, values) in zip(axes, cosines.items(), strict=True):
            image = draw_heat_map(ax, values)
            ax.set_title(name)
        add_similarity_bar(fig, image, axes)
        counts = sorted({len(values) for values in cosines.values()})
        neurons = (
            f"{counts[0]} neurons" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} neurons"
        )
        set_title(
            fig, title, "; ".join(filter(None, (note, f"{neurons}, rows and columns in one order")))
        )
    return fig


def as_cosines(name: str, values: Any) -> np.ndarray:
    """[m, m] in [-1, 1] or NaN; refuses anything else."""
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise SpecError(
            f"{name}: shape {array.shape}",
            "[m, m], a row and a column per neuron",
            "Pass cosine similarities.",
        )
    finite = array[np.isfinite(array)]
    if finite.size and np.abs(finite).max() > 1.0 + _ROUNDING:
        raise SpecError(
            f"{name}: entries up to {np.abs(finite).max():.4g}",
            "cosines, from -1 to 1",
            "Divide by the norms.",
        )
    return np.where(np.isfinite(array), np.clip(array, -1.0, 1.0), np.nan)


def draw_heat_map(ax: "Axes", cosines: np.ndarray) -> "AxesImage":
    """The matrix as an image, first neuron at the top left, without ticks."""
    import matplotlib

    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=MISSING)
    # few neurons are squares with sharp edges, more neurons than dots of the picture are averaged
    image = ax.imshow(cosines, cmap=colours, vmin=-1.0, vmax=1.0, interpolation="antialiased")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[:].set(visible=True, color="#cccccc")
    return image


def add_similarity_bar(fig: "Figure", image: "AxesImage", axes: list[Any]) -> None:
    """The colours' legend, one for all panels."""
    bar = fig.colorbar(
        image, ax=axes, ticks=[-1.0, -0.5, 0.0, 0.5, 1.0], shrink=0.9, aspect=25.0, pad=0.02
    )
    bar.set_label(SIMILARITY_LABEL)
    bar.outline.set_visible(False)
