import math

import numpy as np
import plot_data as data
import pytest
from matplotlib.collections import LineCollection
from matplotlib.quiver import Quiver

from deepinit import plots
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLACK, BLUE

pytestmark = pytest.mark.filterwarnings("error")


def dots_of(ax):
    return [line for line in ax.lines if line.get_marker() == "o" and line.get_color() == BLACK]


def predicted_of(ax):
    return [line for line in ax.lines if line.get_color() == BLUE]


# Direction fields

GRID = np.stack(np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5)), axis=-1).reshape(-1, 2)


def quiver_of(ax):
    (arrows,) = [artist for artist in ax.collections if isinstance(artist, Quiver)]
    return arrows


def test_arrows_have_one_length_and_the_direction_of_the_velocity():
    velocities = (
        np.stack([-GRID[:, 1], GRID[:, 0]], axis=1) * 1e-200
    )  # a rotation: zero at the origin only
    velocities[0] = np.nan
    fig = plots.direction_field({"": (GRID, velocities)}, title="t")
    arrows = quiver_of(fig.axes[0])
    expected = np.delete(velocities, [0, 12], axis=0)
    assert arrows.N == 23
    np.testing.assert_allclose(np.hypot(arrows.U, arrows.V), 1.0)
    np.testing.assert_allclose(
        np.arctan2(arrows.V, arrows.U), np.arctan2(expected[:, 1], expected[:, 0])
    )
    np.testing.assert_array_equal(arrows.get_offsets(), np.delete(GRID, [0, 12], axis=0))


@pytest.mark.slow
def test_rays_point_along_the_predictions_of_their_panel_and_leave_it():
    predicted = {"$a > 0$": [[0.6, 0.8], [-3.0, 0.0]], "$a < 0$": [[0.0, -2.0]]}
    fig = plots.direction_field(
        {name: (GRID, GRID) for name in predicted}, orientations=predicted, title="t"
    )
    assert [ax.get_title(loc="left") for ax in fig.axes] == list(predicted)
    for ax, directions in zip(fig.axes, predicted.values(), strict=True):
        ends = [line.get_xydata()[1] for line in predicted_of(ax)]
        assert all(not line.get_xydata()[0].any() for line in predicted_of(ax))
        units = [end / np.linalg.norm(end) for end in ends]
        np.testing.assert_allclose(
            units, directions / np.linalg.norm(directions, axis=1, keepdims=True)
        )
        assert all(np.abs(end).max() > ax.get_xlim()[1] for end in ends)
    assert data.legend_texts(fig) == ["predicted direction"]
    both = plots.direction_field(
        {name: (GRID, GRID) for name in "ab"}, orientations=[[1.0, 1.0]], title="t"
    )
    assert [len(predicted_of(ax)) for ax in both.axes] == [1, 1]


def test_neurons_stand_on_the_circle_at_their_logarithm_or_where_they_are():
    neurons = np.array([[3e-4, 4e-4], [0.0, -5e-2], [np.nan, 1.0], [0.0, 0.0]])
    places = {}
    for place in ("circle", "log", "true"):
        fig = plots.direction_field({"": (GRID, GRID)}, neurons=neurons, place=place, title="t")
        (dots,) = dots_of(fig.axes[0])
        places[place] = dots.get_xydata()
    radii = {place: np.hypot(*xy.T) for place, xy in places.items() if place != "true"}
    np.testing.assert_allclose(radii["circle"][0], radii["circle"][1])
    np.testing.assert_allclose(
        places["circle"] / radii["circle"][:, None], [[0.6, 0.8], [0.0, -1.0]]
    )
    np.testing.assert_allclose(places["log"] / radii["log"][:, None], [[0.6, 0.8], [0.0, -1.0]])
    np.testing.assert_allclose(radii["log"][1], radii["circle"][1])
    assert 0.2 < radii["log"][0] / radii["log"][1] < 0.3
    np.testing.assert_array_equal(places["true"][:2], neurons[:2])


def test_one_logarithmic_scale_serves_all_panels():
    neurons = {"a": [[1.0, 0.0], [0.1, 0.0]], "b": [[0.0, 0.1], [0.0, 0.01]]}
    fig = plots.direction_field(
        {name: (GRID, GRID) for name in "ab"}, neurons=neurons, place="log", title="t"
    )
    first, second = (np.hypot(*dots_of(ax)[0].get_xydata().T) for ax in fig.axes)
    np.testing.assert_allclose(first[1], second[0])
    (label,) = data.legend_texts(fig)
    assert "logarithmic" in label


@pytest.mark.parametrize(
    ("panels", "options", "message"),
    [
        ({}, {}, "0 panels"),
        ({str(k): (GRID, GRID) for k in range(7)}, {}, "7 panels"),
        ({"a": GRID}, {}, "a: ndarray"),
        ({"a": (GRID, GRID[:-1])}, {}, "a: points of shape"),
        ({"a": (GRID.T, GRID.T)}, {}, "a: points of shape"),
        ({"a": (np.full((2, 2), np.nan), np.ones((2, 2)))}, {}, "finite points"),
        ({"a": (GRID, GRID)}, {"orientations": [[0.0, 0.0]]}, "zero or not finite"),
        ({"a": (GRID, GRID)}, {"orientations": {"b": [[0.0, 1.0]]}}, "the panel 'b'"),
        ({"a": (GRID, GRID)}, {"neurons": np.ones((3, 4))}, r"neurons of shape \(3, 4\)"),
        ({"a": (GRID, GRID)}, {"place": "somewhere"}, "'somewhere'"),
    ],
)
def test_fields_that_make_no_sense_are_refused(panels, options, message):
    with pytest.raises(SpecError, match=message):
        plots.direction_field(panels, title="t", **options)


# Amplitudes and angles


def test_amplitudes_stand_at_wrapped_angles_with_lines_at_the_predictions():
    angles = np.array([0.5, 4.0, -1.0, np.nan, 2.0])
    amplitudes = np.array([1e-3, 1.0, 0.0, 1.0, np.inf])
    predicted = [0.5, math.pi, 2.0 * math.pi - 1.0]
    fig = plots.amplitude_angles({"": (angles, amplitudes)}, predicted=predicted, title="t")
    (ax,) = fig.axes
    (dots,) = dots_of(ax)
    np.testing.assert_allclose(dots.get_xydata(), [[0.5, 1e-3], [4.0 - 2.0 * math.pi, 1.0]])
    lines = sorted(line.get_xdata()[0] for line in predicted_of(ax))
    np.testing.assert_allclose(lines, [-math.pi, -1.0, 0.5, math.pi])  # pi is at both ends
    np.testing.assert_allclose(ax.get_xticks(), np.arange(-2, 3) * math.pi / 2)
    assert ax.get_yscale() == "log"
    assert data.legend_texts(fig) == ["neuron", "predicted direction"]


def test_panels_have_their_own_predictions():
    panels = {
        "early": (np.array([-1.0, 1.0]), np.array([0.0, 2.0])),
        "late": (np.zeros(3), np.ones(3)),
    }
    fig = plots.amplitude_angles(panels, predicted={"late": [0.3]}, log_y=False, title="t")
    early, late = fig.axes
    np.testing.assert_array_equal(dots_of(early)[0].get_xydata(), [[-1.0, 0.0], [1.0, 2.0]])
    assert [len(predicted_of(ax)) for ax in (early, late)] == [0, 1]
    assert predicted_of(late)[0].get_xdata()[0] == pytest.approx(0.3)
    assert early.get_yscale() == "linear"


@pytest.mark.parametrize(
    ("panels", "predicted", "message"),
    [
        ({}, None, "0 panels"),
        ({"a": (np.ones(3), np.ones(2))}, None, "a: angles of shape"),
        ({"a": (np.ones(0), np.ones(0))}, None, "not empty"),
        ({"a": (np.ones(3),)}, None, "a: tuple"),
        ({"a": (np.ones(3), np.ones(3))}, {"b": [1.0]}, "the panel 'b'"),
        ({"a": (np.ones(3), np.ones(3))}, [[1.0, 0.0]], "predicted of shape"),
    ],
)
def test_amplitudes_that_make_no_sense_are_refused(panels, predicted, message):
    with pytest.raises(SpecError, match=message):
        plots.amplitude_angles(panels, predicted=predicted, title="t")


# Paths


def paths_of(ax):
    (many,) = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    return many.get_segments()


def test_paths_cross_pi_without_a_jump():
    steps = np.arange(4)
    angles = np.array([[3.0, 0.1], [-3.1, 0.2], [-2.9, np.nan], [-2.8, 0.3]])
    fig = plots.orientation_paths({"": (steps, angles)}, predicted=[-2.8, 0.3, 7.0], title="t")
    (ax,) = fig.axes
    drawn = [segment for segment in paths_of(ax) if len(segment) > 1]
    assert all(np.abs(np.diff(segment[:, 1])).max() < 1.0 for segment in drawn)
    crossing = [segment[:, 1] for segment in drawn if len(segment) == 4]
    turn = np.array([3.0, 2.0 * math.pi - 3.1, 2.0 * math.pi - 2.9, 2.0 * math.pi - 2.8])
    np.testing.assert_allclose(sorted(path[0] for path in crossing), [3.0 - 2.0 * math.pi, 3.0])
    for path in crossing:
        np.testing.assert_allclose(path - path[0], turn - turn[0])
    np.testing.assert_allclose(ax.get_ylim(), [-math.pi, math.pi])
    lines = sorted(line.get_ydata()[0] for line in predicted_of(ax))
    np.testing.assert_allclose(lines, [-2.8, 0.3, 7.0 - 2.0 * math.pi])
    assert data.legend_texts(fig) == ["neuron", "predicted direction"]


def test_a_path_goes_on_after_a_gap():
    steps = np.array([0.0, 1.0, 10.0, 100.0])
    angles = np.array([[1.0, np.nan], [np.nan, np.nan], [1.2, np.nan], [1.3, np.nan]])
    ax = plots.orientation_paths({"": (steps, angles)}, title="t").axes[0]
    points = np.concatenate([segment for segment in paths_of(ax)])
    np.testing.assert_allclose(
        points[np.isfinite(points).all(axis=1)], [[0.0, 1.0], [10.0, 1.2], [100.0, 1.3]]
    )
    assert ax.get_xlim() == (0.0, 100.0)


@pytest.mark.parametrize(
    ("steps", "angles"),
    [
        (np.arange(3), np.zeros((2, 4))),
        (np.arange(1), np.zeros((1, 4))),
        (np.arange(3), np.zeros(3)),
        (np.arange(3), np.zeros((3, 0))),
    ],
)
def test_paths_that_make_no_sense_are_refused(steps, angles):
    with pytest.raises(SpecError, match="a: steps of shape"):
        plots.orientation_paths({"a": (steps, angles)}, title="t")
    with pytest.raises(SpecError, match="0 panels"):
        plots.orientation_paths({}, title="t")
