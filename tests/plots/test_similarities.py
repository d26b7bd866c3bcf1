import numpy as np
import plot_data as data
import pytest
from matplotlib.collections import PathCollection

from deepinit import plots
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLUE

pytestmark = pytest.mark.filterwarnings("error")


def cosines_of(num_neurons, seed=0):
    rows = np.random.default_rng(seed).standard_normal((num_neurons, 3))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows @ rows.T


def maps_of(fig):
    return [ax for ax in fig.axes if ax.images]


def predicted_of(ax):
    return [line for line in ax.lines if line.get_color() == BLUE]


# Similarities


def test_similarities_are_maps_of_one_scale_with_one_colour_bar():
    panels = {f"step {k}": cosines_of(5 + k, k) for k in range(4)}
    fig = plots.similarities(panels, title="Condensed", note="a network")
    assert [ax.get_title(loc="left") for ax in maps_of(fig)] == list(panels)
    for ax, values in zip(maps_of(fig), panels.values(), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), values, rtol=0, atol=1e-12)
        assert ax.images[0].get_clim() == (-1.0, 1.0)
    (bar,) = [ax for ax in fig.axes if ax.get_visible() and not ax.images]
    assert "cosine" in bar.get_ylabel()
    assert data.notes(fig) == "a network; 5 to 8 neurons, rows and columns in one order"
    assert plots.to_svg(fig) == plots.to_svg(fig)


def test_similarities_stand_in_rows_of_nearly_equal_length():
    for count, expected in ((2, (1, 2)), (4, (2, 2)), (5, (2, 3)), (12, (4, 3))):
        fig = plots.similarities({str(k): np.eye(2) for k in range(count)}, title="t")
        grid = maps_of(fig)[0].get_gridspec()
        assert (grid.nrows, grid.ncols) == expected
    grid = maps_of(plots.similarities({str(k): np.eye(2) for k in range(8)}, title="t", columns=4))[
        0
    ].get_gridspec()
    assert (grid.nrows, grid.ncols) == (2, 4)


def test_neurons_without_orientation_are_grey_and_rounding_is_forgiven():
    values = cosines_of(4) * (1.0 + 1e-6)
    values[2] = values[:, 2] = np.nan
    (ax,) = maps_of(plots.similarities({"a": values}, title="t"))
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), np.isnan(values))
    assert np.abs(shown).max() == 1.0
    red, green, blue, alpha = ax.images[0].get_cmap()(shown)[2, 0]
    assert (red == green == blue, alpha) == (True, 1.0)


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "0 panels"),
        ({str(k): np.eye(2) for k in range(13)}, "13 panels"),
        ({"a": np.ones((2, 3))}, r"a: cosines of shape \(2, 3\)"),
        ({"a": np.ones(4)}, r"a: cosines of shape \(4,\)"),
        ({"a": np.zeros((0, 0))}, r"a: cosines of shape \(0, 0\)"),
        ({"a": 2.0 * np.eye(2)}, "entries up to 2"),
    ],
)
def test_what_is_no_matrix_of_cosines_is_refused(panels, message):
    with pytest.raises(SpecError, match=message):
        plots.similarities(panels, title="t")
    with pytest.raises(SpecError, match="columns=0"):
        plots.similarities({"a": np.eye(2)}, title="t", columns=0)


# Phase diagram

POINTS = np.array([[0.5, 0.0], [1.0, 0.0], [2.5, -0.4], [2.0, 0.5]])


@pytest.mark.slow
def test_phase_diagram_shows_exponents_in_colours_around_zero_with_their_values():
    exponents, errors = np.array([-0.5, 0.0, 0.75, np.nan]), np.array([0.02, 0.0004, np.nan, 0.1])
    fig = plots.phase_diagram(
        POINTS,
        exponents,
        errors,
        boundary=lambda second: 1.0 + max(0.0, second),
        regimes={"linear": (0.2, 0.5), "condensed": (2.8, -0.4)},
        title="t",
    )
    ax = fig.axes[0]
    (dots,) = [artist for artist in ax.collections if isinstance(artist, PathCollection)]
    np.testing.assert_array_equal(dots.get_offsets(), POINTS[:3])
    np.testing.assert_array_equal(dots.get_array(), exponents[:3])
    assert dots.get_clim() == (-0.75, 0.75)
    texts = [text.get_text() for text in ax.texts]
    assert texts == ["−0.50\n±0.02", "+0.0000\n±0.0004", "+0.75", "linear", "condensed"]
    (line,) = predicted_of(ax)
    gamma, second = line.get_data()
    np.testing.assert_allclose(gamma, 1.0 + np.maximum(0.0, second))
    assert (1.0, 0.0) in zip(gamma, second, strict=True)  # the corner is drawn
    assert second.min() <= -0.4
    assert second.max() >= 0.5
    assert ax.get_xlim()[0] < 0.2
    assert data.legend_texts(fig) == [
        "predicted boundary: exponent 0",
        "measured, ± standard error",
    ]
    assert plots.to_svg(fig) == plots.to_svg(fig)


def test_the_boundary_can_be_a_line_or_missing():
    line = ([1.0, 1.0, 2.0], [-1.0, 0.0, 1.0])
    fig = plots.phase_diagram(POINTS, np.ones(4), boundary=line, title="t")
    np.testing.assert_array_equal(predicted_of(fig.axes[0])[0].get_data(), line)
    fig = plots.phase_diagram(POINTS[:1], np.zeros(1), title="t")
    assert predicted_of(fig.axes[0]) == []
    assert data.legend_texts(fig) == ["measured"]


@pytest.mark.parametrize(
    ("points", "exponents", "errors"),
    [
        (np.zeros((0, 2)), np.zeros(0), None),
        (POINTS, np.zeros(3), None),
        (POINTS, np.zeros(4), np.zeros(3)),
        (POINTS.T, np.zeros(2), None),
        (np.full((4, 2), np.nan), np.zeros(4), None),
    ],
)
def test_phase_diagrams_that_make_no_sense_are_refused(points, exponents, errors):
    with pytest.raises(SpecError, match="points"):
        plots.phase_diagram(points, exponents, errors, title="t")
    with pytest.raises(SpecError, match="boundary: gamma of shape"):
        plots.phase_diagram(POINTS, np.zeros(4), boundary=([1.0, 2.0], [0.0]), title="t")
