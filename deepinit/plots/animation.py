"""Moving pictures of early training, as GIF files that a page can carry.

All frames share one palette and one layout, so that a file stays small, nothing flickers, and equal data give equal bytes.
"""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.plots.directions import (
    DOTS,
    INNER,
    PREDICTED_COLOUR,
    as_directions,
    draw_rays,
    log_radii,
    spread_in_decades,
)
from deepinit.plots.similarities import DIVERGING, add_similarity_bar, as_cosines, draw_heat_map
from deepinit.plots.style import add_legend, new_figure, set_title, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_FRAMES = 200
DOTS_PER_INCH = 96
_LAST_FRAME_MS = 2500


def animate_orientations(
    vectors: Any,
    amplitudes: Any,
    times: Any,
    *,
    predicted: Any = None,
    labels: Sequence[str] | None = None,
    title: str,
    note: str = "",
    x_label: str = "weight $w$",
    y_label: str = "bias $b$",
    frames_per_second: float = 10.0,
) -> bytes:
    """Neurons of a network with one input in the plane of (weight, bias), moment by moment.

    A neuron's direction is that of its vector; its distance from the center falls with the logarithm of its amplitude, from 1 for
    the largest of all moments to a quarter for the smallest. The last moment stays for 2.5 seconds; then all starts again.

    Args:
        vectors: [T, m, 2], or angles [T, m] in radians. What is zero or not finite is not drawn.
        amplitudes: [T, m], >= 0; None takes the vectors' norms.
        times: [T], increasing; how far the bar below the picture has grown.
        predicted: [K, 2], directions predicted to attract, of any length but zero.
        labels: a text for each moment, such as step and loss; None writes the time.
        title: the figure's message.
        note: what the data are, in words.
        x_label, y_label: of the axes.
        frames_per_second: of the moments; 10 by default.

    Returns:
        A GIF file: a frame for each moment (equal neighbours become one frame that lasts longer).

    Raises:
        SpecError: shapes that do not fit, times that do not increase, more than 200 moments.
    """
    arrows, sizes = _read_neurons(vectors, amplitudes)
    moments = _read_times(times, len(arrows))
    texts = _texts(labels, len(arrows), [f"$t$ = {time:.4g}" for time in moments])
    rays = None if predicted is None else as_directions("predicted", predicted)
    norms = np.hypot(arrows[..., 0], arrows[..., 1])
    drawn = np.isfinite(norms) & (norms > 0.0) & np.isfinite(sizes)
    decades = spread_in_decades(sizes[drawn])
    radii = log_radii(sizes, sizes[drawn].max(initial=0.0), decades)
    with np.errstate(invalid="ignore", divide="ignore"):
        places = arrows * (radii / norms)[..., None]
    progress = (moments - moments[0]) / (moments[-1] - moments[0] or 1.0)
    with styled():
        fig = new_figure(4.8, 5.6)
        ax = fig.subplots()
        grey = np.linspace(0.0, 2.0 * np.pi, 181)
        for radius in (INNER, 1.0):
            ax.plot(
                radius * np.cos(grey),
                radius * np.sin(grey),
                color="#cccccc",
                linewidth=0.8,
                zorder=1,
            )
        draw_rays(ax, rays, 1.15)
        (dots,) = ax.plot([], [], "o", **DOTS, label="neuron", zorder=4)
        (bar,) = ax.plot(
            [], [], color="#777777", linewidth=3.0, solid_capstyle="butt", zorder=5, clip_on=False
        )
        ax.set(
            xlim=(-1.2, 1.2),
            ylim=(-1.2, 1.2),
            xticks=[],
            yticks=[],
            xlabel=x_label,
            ylabel=y_label,
            aspect="equal",
        )
        ax.spines[:].set(visible=True, color="#cccccc")
        moment = ax.set_title(_longest(texts))
        set_title(
            fig,
            title,
            "; ".join(
                filter(
                    None, (note, f"distance from the center: log amplitude, {decades:.1f} decades")
                )
            ),
        )
        add_legend(fig, *ax.get_legend_handles_labels())

        def show(t: int) -> None:
            dots.set_data(*places[t, drawn[t]].T)
            bar.set_data([-1.2, -1.2 + 2.4 * progress[t]], [-1.2, -1.2])
            moment.set_text(texts[t])

        return _gif(fig, show, len(arrows), frames_per_second, _dot_palette())


def animate_similarities(
    panels: Any,
    labels: Sequence[str] | None = None,
    *,
    title: str,
    note: str = "",
    frames_per_second: float = 10.0,
) -> bytes:
    """A heat map of cosine similarities between neurons, moment by moment.

    Args:
        panels: [T, m, m] cosines in [-1, 1], neurons in one order at all moments (that of the last one shows how its groups
            came about). What is not finite is grey.
        labels: a text for each moment, such as step and loss; None counts the moments.
        title: the figure's message.
        note: what the data are, in words.
        frames_per_second: of the moments; 10 by default.

    Returns:
        A GIF file, as `animate_orientations`.

    Raises:
        SpecError: shapes that do not fit, entries that are no cosines, more than 200 moments.
    """
    values = np.asarray(panels, np.float64)
    if values.ndim != 3:
        raise SpecError(
            f"panels of shape {values.shape}", "[T, m, m]", "Stack one matrix for each moment."
        )
    _check_count(len(values))
    texts = _texts(
        labels, len(values), [f"moment {t + 1} of {len(values)}" for t in range(len(values))]
    )
    cosines = [as_cosines(f"moment {t}", matrix) for t, matrix in enumerate(values)]
    with styled():
        fig = new_figure(4.6, 4.5)
        ax = fig.subplots()
        image = draw_heat_map(ax, cosines[0])
        add_similarity_bar(fig, image, [ax])
        moment = ax.set_title(_longest(texts))
        set_title(fig, title, "; ".join(filter(None, (note, f"{values.shape[1]} neurons"))))

        def show(t: int) -> None:
            image.set_data(np.ma.masked_invalid(cosines[t]))
            moment.set_text(texts[t])

        return _gif(fig, show, len(values), frames_per_second, _heat_palette())


def _gif(
    fig: "Figure",
    show: Callable[[int], None],
    count: int,
    frames_per_second: float,
    palette: np.ndarray,
) -> bytes:
    """The figure after show(0), show(1), ... as one GIF file with a common palette."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    if not frames_per_second > 0.0:
        raise SpecError(f"frames_per_second={frames_per_second}", "a positive number", "Write 10.")
    fig.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(fig)
    # laid out once, with the longest text: nothing moves but the data
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    frames: list[np.ndarray] = []
    for t in range(count):
        show(t)
        canvas.draw()
        frames.append(np.array(canvas.buffer_rgba())[..., :3])
    table = Image.new("P", (1, 1))
    table.putpalette(np.round(255.0 * palette).astype(int).ravel().tolist())
    pictures = [
        Image.fromarray(frame).quantize(palette=table, dither=Image.Dither.NONE) for frame in frames
    ]
    step = max(20, round(1000.0 / frames_per_second))
    durations = [step] * (count - 1) + [max(step, _LAST_FRAME_MS)]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=durations,
        loop=0,
        optimize=False,
    )
    return buffer.getvalue()


def _dot_palette() -> np.ndarray:
    """[colours, 3] of dots, rays and letters and of their smooth edges, in [0, 1]: as few as look right, for small files."""
    from matplotlib.colors import to_rgb

    steps = np.linspace(0.0, 1.0, 13)[1:-1, None]
    ray = np.array(to_rgb(PREDICTED_COLOUR))
    return np.vstack([_greys(), ray, ray + steps * (1.0 - ray), ray * steps])


def _heat_palette() -> np.ndarray:
    """[colours, 3] of the heat map's colour bar, and greys for letters, in [0, 1]."""
    import matplotlib

    return np.vstack([_greys(), matplotlib.colormaps[DIVERGING](np.linspace(0.0, 1.0, 41))[:, :3]])


def _greys() -> np.ndarray:
    return np.repeat(np.linspace(1.0, 0.0, 18)[:, None], 3, axis=1)


def _read_neurons(vectors: Any, amplitudes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [T, m, 2] and amplitudes [T, m]."""
    arrows = np.asarray(vectors, np.float64)
    angles = arrows.ndim == 2
    if angles:
        arrows = np.stack([np.cos(arrows), np.sin(arrows)], axis=-1)
    if arrows.ndim != 3 or arrows.shape[2] != 2 or not arrows.shape[1]:
        raise SpecError(
            f"vectors of shape {np.shape(vectors)}",
            "[T, m, 2], or angles [T, m]",
            "Give all moments in one array.",
        )
    _check_count(len(arrows))
    sizes = (
        np.hypot(arrows[..., 0], arrows[..., 1])
        if amplitudes is None
        else np.asarray(amplitudes, np.float64)
    )
    if sizes.shape != arrows.shape[:2]:
        raise SpecError(
            f"amplitudes of shape {sizes.shape}",
            f"{arrows.shape[:2]}, one per vector",
            "Check moments and neurons.",
        )
    return arrows, sizes


def _read_times(times: Any, count: int) -> np.ndarray:
    moments = np.asarray(times, np.float64)
    if (
        moments.shape != (count,)
        or not np.isfinite(moments).all()
        or (np.diff(moments) <= 0.0).any()
    ):
        raise SpecError(
            f"times of shape {moments.shape}",
            f"{count} finite increasing numbers",
            "Give every moment its time.",
        )
    return moments


def _check_count(count: int) -> None:
    if not 1 <= count <= MAX_FRAMES:
        raise SpecError(f"{count} moments", f"1 to {MAX_FRAMES}", "Take every k-th record.")


def _texts(labels: Sequence[str] | None, count: int, default: list[str]) -> list[str]:
    texts = default if labels is None else [str(label) for label in labels]
    if len(texts) != count:
        raise SpecError(
            f"{len(texts)} labels", f"{count}, one for each moment", "Check the labels."
        )
    return texts


def _longest(texts: list[str]) -> str:
    return max(texts, key=lambda text: (text.count("\n"), len(text)))
