"""GIF animations with one palette and layout."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Plain, Real
from deepinit.core.validate import array, positive, require
from deepinit.plots import validate
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
    vectors: Real[Array, "T m *plane"] | Plain,
    amplitudes: Real[Array, "T m"] | Plain | None,
    times: Real[Array, "T"] | Plain,
    *,
    predicted: Real[Array, "K 2"] | Plain | None = None,
    labels: Sequence[str] | None = None,
    title: str,
    note: str = "",
    x_label: str = "weight $w$",
    y_label: str = "bias $b$",
    frames_per_second: float = 10.0,
) -> bytes:
    """GIF of neurons in the plane (weight, bias) over time.

    Distance from the center falls with the logarithm of the amplitude, from 1 (the largest) to 1/4.
    The last frame stays for 2.5 seconds; equal consecutive frames are merged. Equal input gives
    equal bytes.

    Args:
        vectors: [T, m, 2], or angles [T, m] in radians; zero and non-finite ones are not drawn.
        amplitudes: >= 0; None takes the norms.
        times: increasing; T <= 200.
        predicted: attracting directions, non-zero.
        labels: text per frame; None writes the time.
        frames_per_second: > 0.

    Raises SpecError: other shapes, times or numbers of frames.
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
        turn = np.linspace(0.0, 2.0 * np.pi, 181)
        for radius in (INNER, 1.0):
            circle = radius * np.cos(turn), radius * np.sin(turn)
            ax.plot(*circle, color="#cccccc", linewidth=0.8, zorder=1)
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
        radial = f"distance from the center: log amplitude, {decades:.1f} decades"
        set_title(fig, title, "; ".join(filter(None, (note, radial))))
        add_legend(fig, [ax])

        def show(t: int) -> None:
            dots.set_data(*places[t, drawn[t]].T)
            bar.set_data([-1.2, -1.2 + 2.4 * progress[t]], [-1.2, -1.2])
            moment.set_text(texts[t])

        return _gif(fig, show, len(arrows), frames_per_second, _dot_palette())


def animate_similarities(
    panels: Real[Array, "T m m"] | Plain,
    labels: Sequence[str] | None = None,
    *,
    title: str,
    note: str = "",
    frames_per_second: float = 10.0,
) -> bytes:
    """GIF of cosine similarities between neurons over time.

    Args:
        panels: cosines in [-1, 1], T <= 200, neurons in a fixed order (that of the last time shows
            groups); non-finite entries are grey.
        labels: text per frame; None counts.
        frames_per_second: > 0.

    Raises SpecError: other shapes or values.
    """
    (values,) = validate.shaped("", "panels [T, m, m]", panels, least=0)
    count = len(values)
    validate.num_panels(count, MAX_FRAMES, "moments")
    texts = _texts(labels, count, [f"moment {t + 1} of {count}" for t in range(count)])
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
    """GIF of show(0), show(1), ..."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    positive("frames_per_second", frames_per_second, "Write 10.")
    fig.set_dpi(DOTS_PER_INCH)
    canvas = FigureCanvasAgg(fig)
    # Laid out once, with the longest text.
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
    settings = {"duration": durations, "loop": 0, "optimize": False}
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], **settings)
    return buffer.getvalue()


def _dot_palette() -> np.ndarray:
    """Colours [colours, 3] of dots, rays, letters."""
    from matplotlib.colors import to_rgb

    steps = np.linspace(0.0, 1.0, 13)[1:-1, None]
    ray = np.array(to_rgb(PREDICTED_COLOUR))
    return np.vstack([_greys(), ray, ray + steps * (1.0 - ray), ray * steps])


def _heat_palette() -> np.ndarray:
    """Colours [colours, 3] of colour bar, letters."""
    import matplotlib

    return np.vstack([_greys(), matplotlib.colormaps[DIVERGING](np.linspace(0.0, 1.0, 41))[:, :3]])


def _greys() -> np.ndarray:
    return np.repeat(np.linspace(1.0, 0.0, 18)[:, None], 3, axis=1)


def _read_neurons(vectors: Any, amplitudes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [T, m, 2] and amplitudes [T, m]."""
    are_angles = np.ndim(vectors) == 2
    pattern = "angles [T, m]" if are_angles else "vectors [T, m, 2]"
    validate.num_panels(len(vectors), MAX_FRAMES, "moments")
    if amplitudes is None:
        (arrows,), sizes = validate.shaped("", pattern, vectors), None
    else:
        pattern = f"{pattern}, amplitudes [T, m]"
        arrows, sizes = validate.shaped("", pattern, vectors, amplitudes)
    if are_angles:
        arrows = np.stack([np.cos(arrows), np.sin(arrows)], axis=-1)
    return arrows, np.hypot(arrows[..., 0], arrows[..., 1]) if sizes is None else sizes


def _read_times(times: Any, count: int) -> np.ndarray:
    moments = array("times", times, [count])
    allowed = f"{count} finite increasing numbers"
    require((np.diff(moments) > 0.0).all(), "times that do not increase", allowed, "Sort them.")
    return moments


def _texts(labels: Sequence[str] | None, count: int, default: list[str]) -> list[str]:
    texts = default if labels is None else [str(label) for label in labels]
    if len(texts) != count:
        raise SpecError(f"{len(texts)} labels", f"{count}, one per moment", "Check them.")
    return texts


def _longest(texts: list[str]) -> str:
    return max(texts, key=lambda text: (text.count("\n"), len(text)))
