import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from deepinit import plots
from deepinit.core.errors import SpecError

pytestmark = pytest.mark.filterwarnings("error")

BLUE_DOTS = (0, 114, 178)  # of the predicted rays


def frames_of(gif):
    """Every frame as an array [height, width, 3]."""
    picture = Image.open(io.BytesIO(gif))
    frames = []
    for k in range(picture.n_frames):
        picture.seek(k)
        frames.append(np.asarray(picture.convert("RGB"), np.int64))
    return frames


def turning(num_moments=3, num_neurons=4):
    """Neurons that all turn to the right and grow."""
    start = np.linspace(-2.5, 2.5, num_neurons)
    fade = np.linspace(1.0, 0.0, num_moments)[:, None]
    return start * fade, 10.0 ** (-4.0 * fade) * np.ones(num_neurons)


def centre_of_black(frame):
    """Horizontal place of dark dots inside the picture (not letters), from 0 to 1."""
    inside = frame[120:-80, 46:-30]
    return np.nonzero((inside < 110).all(axis=-1))[1].mean() / inside.shape[1]


def test_neurons_move_frame_by_frame_to_where_they_turn():
    angles, amplitudes = turning()
    gif = plots.animate_orientations(
        angles, amplitudes, [0, 1, 2], predicted=[[2.0, 0.0]], title="t", note="n"
    )
    frames = frames_of(gif)
    assert len(frames) == 3
    assert Image.open(io.BytesIO(gif)).info["loop"] == 0
    places = [centre_of_black(frame) for frame in frames]
    assert places == sorted(places)
    assert abs(places[0] - 0.5) < 0.1  # symmetric at first, near the center
    assert places[-1] > 0.8
    for frame in frames:
        ray = np.nonzero((np.abs(frame - BLUE_DOTS) < 40).all(axis=-1)[120:-80])
        assert np.ptp(ray[1]) > 10 * np.ptp(ray[0])  # one level line ...
        assert ray[1].mean() > 0.55 * frame.shape[1]  # ... to the right of the center
        assert (frame[0, 0] == 255).all()


@pytest.mark.slow
def test_equal_data_give_equal_bytes_and_vectors_are_angles_with_norms():
    angles, amplitudes = turning(2)
    options = {"times": [0.0, 5.0], "labels": ["start", "end"], "title": "t"}
    gif = plots.animate_orientations(angles, amplitudes, **options)
    vectors = 1e-3 * amplitudes[..., None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    assert plots.animate_orientations(angles, amplitudes, **options) == gif
    assert (
        frames_of(plots.animate_orientations(vectors, None, **options))[1].tolist()
        == frames_of(gif)[1].tolist()
    )
    other = plots.animate_orientations(
        angles, amplitudes, **{**options, "labels": ["start", "elsewhere"]}
    )
    assert other != gif


def test_the_last_moment_stays_and_frames_follow_the_clock():
    angles, amplitudes = turning(3)
    gif = plots.animate_orientations(angles, amplitudes, [0, 1, 2], title="t", frames_per_second=20)
    picture = Image.open(io.BytesIO(gif))
    durations = []
    for k in range(picture.n_frames):
        picture.seek(k)
        durations.append(picture.info["duration"])
    assert durations == [50, 50, 2500]


def test_neurons_without_direction_are_left_out():
    angles, amplitudes = turning(2)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    whole = frames_of(
        plots.animate_orientations(vectors[:, 1:], amplitudes[:, 1:], [0, 1], title="t")
    )
    vectors[0, 0], vectors[1, 0] = 0.0, np.nan
    partial = frames_of(plots.animate_orientations(vectors, amplitudes, [0, 1], title="t"))
    assert all((one == two).all() for one, two in zip(whole, partial, strict=True))


@pytest.mark.slow
def test_forty_frames_stay_small():
    rng = np.random.default_rng(0)
    angles = np.cumsum(0.1 * rng.standard_normal((40, 100)), axis=0)
    gif = plots.animate_orientations(
        angles, np.exp(rng.standard_normal((40, 100))), np.arange(40), title="t"
    )
    assert Image.open(io.BytesIO(gif)).n_frames == 40
    assert len(gif) < 1_500_000


def test_similarities_change_colour_frame_by_frame():
    moments = np.stack([np.eye(4) + value * (1.0 - np.eye(4)) for value in (-1.0, 0.0, 1.0)])
    moments[1, 3] = moments[1, :, 3] = np.nan
    gif = plots.animate_similarities(moments, ["start", "middle", "end"], title="t", note="n")
    frames = frames_of(gif)
    assert len(frames) == 3
    assert (
        plots.animate_similarities(moments, ["start", "middle", "end"], title="t", note="n") == gif
    )
    place = (frames[0].shape[0] // 2 - 40, frames[0].shape[1] // 2 + 30)  # off the diagonal
    blue, white, red = (frame[place] for frame in frames)
    assert blue[2] > blue[0] + 50
    assert white.min() > 230
    assert red[0] > red[2] + 50


VECTORS = np.ones((2, 3, 2))


@pytest.mark.parametrize(
    ("vectors", "amplitudes", "times", "options", "message"),
    [
        (np.ones((2, 3, 5)), None, [0, 1], {}, r"vectors of shape \(2, 3, 5\)"),
        (np.ones((2, 0, 2)), None, [0, 1], {}, r"vectors of shape \(2, 0, 2\)"),
        (np.ones((0, 3, 2)), None, [], {}, "0 moments"),
        (np.ones((201, 3, 2)), None, np.arange(201), {}, "201 moments"),
        (VECTORS, np.ones((2, 4)), [0, 1], {}, r"amplitudes of shape \(2, 4\)"),
        (VECTORS, None, [0, 1, 2], {}, "times of shape"),
        (VECTORS, None, [1, 1], {}, "2 finite increasing"),
        (VECTORS, None, [0, 1], {"labels": ["one"]}, "1 labels"),
        (VECTORS, None, [0, 1], {"predicted": [[0.0, 0.0]]}, "zero or not finite"),
        (VECTORS, None, [0, 1], {"frames_per_second": 0.0}, "frames_per_second=0.0"),
    ],
)
def test_moving_neurons_that_make_no_sense_are_refused(
    vectors, amplitudes, times, options, message
):
    with pytest.raises(SpecError, match=message):
        plots.animate_orientations(vectors, amplitudes, times, title="t", **options)


@pytest.mark.parametrize(
    ("panels", "labels", "message"),
    [
        (np.eye(3), None, r"panels of shape \(3, 3\)"),
        (np.zeros((0, 2, 2)), None, "0 moments"),
        (np.zeros((2, 2, 3)), None, r"panels of shape \(2, 2, 3\)"),
        (np.full((2, 2, 2), 3.0), None, "entries up to 3"),
        (np.zeros((2, 2, 2)), ["a"], "1 labels"),
    ],
)
def test_moving_similarities_that_make_no_sense_are_refused(panels, labels, message):
    with pytest.raises(SpecError, match=message):
        plots.animate_similarities(panels, labels, title="t")


@pytest.mark.slow
def test_drawing_leaves_pyplot_alone_and_importing_loads_no_pictures():
    code = (
        "import sys, deepinit.plots.animation as animation\n"
        "print([m for m in ('matplotlib', 'PIL') if m in sys.modules])\n"
        "animation.animate_similarities([[[1.0]]], title='t')\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.split("\n")[:2] == ["[]", "False"]
