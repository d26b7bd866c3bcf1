"""Heat maps of cosine similarities between neurons."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real
from deepinit.core.validate import integer
from deepinit.plots import validate
from deepinit.plots.style import new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

MAX_HEAT_MAPS = 12
DIVERGING = "RdBu_r"  # blue, white, red: safe for colour-vision deficiencies
MISSING = "#bdbdbd"
SIMILARITY_LABEL = r"cosine similarity $D(w_i, w_j)$"
_ROUNDING = 1e-4  # a cosine in float32 may exceed 1 by its rounding errors


def similarities(
    panels: Mapping[str, Any], *, title: str, note: str = "", columns: int = 3
) -> "Figure":
    """Heat maps of cosine similarities, -1 (blue) to 1 (red).

    `panels`: one to twelve, name -> [m, m] cosines; non-finite entries are grey. `columns`: most
    panels side by side.
    Raises SpecError: other numbers, shapes or values.
    """
    validate.num_panels(len(panels), MAX_HEAT_MAPS)
    columns = integer("columns", columns, 1, "Write columns=3.")
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
        numbers = " to ".join(map(str, counts if len(counts) < 3 else (counts[0], counts[-1])))
        order = f"{numbers} neurons, rows and columns in one order"
        set_title(fig, title, "; ".join(filter(None, (note, order))))
    return fig


def as_cosines(name: str, values: Real[Array, "m m"] | Plain) -> np.ndarray:
    """[m, m] in [-1, 1] or NaN."""
    (array,) = validate.shaped(name, "cosines [m, m]", values)
    largest = np.abs(array[np.isfinite(array)]).max(initial=0.0)
    if largest > 1.0 + _ROUNDING:
        given = f"{name}: entries up to {largest:.4g}"
        raise SpecError(given, "cosines, from -1 to 1", "Divide by the norms.")
    return np.where(np.isfinite(array), np.clip(array, -1.0, 1.0), np.nan)


def draw_heat_map(ax: "Axes", cosines: np.ndarray) -> "AxesImage":
    """The matrix as an image."""
    import matplotlib

    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=MISSING)
    # antialiased: few neurons have sharp edges, more neurons than pixels are averaged
    image = ax.imshow(cosines, cmap=colours, vmin=-1.0, vmax=1.0, interpolation="antialiased")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.grid(visible=False)
    ax.spines[:].set(visible=True, color="#cccccc")
    return image


def add_similarity_bar(fig: "Figure", image: "AxesImage", axes: list[Any]) -> None:
    """One colour bar for all panels."""
    bar = fig.colorbar(
        image, ax=axes, ticks=[-1.0, -0.5, 0.0, 0.5, 1.0], shrink=0.9, aspect=25.0, pad=0.02
    )
    bar.set_label(SIMILARITY_LABEL)
    bar.outline.set_visible(False)
