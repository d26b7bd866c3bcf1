import numpy as np
import plot_data as data
import pytest

from deepinit import plots
from deepinit.core import curves
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLACK, VERMILLION, route_styles

pytestmark = pytest.mark.filterwarnings("error")

X = np.arange(1, 6)
AXES = {"x_label": "layer", "y_label": "length"}


def test_a_line_named_as_a_series_of_points_shares_its_colour_and_its_entry_in_the_legend():
    points = {"narrow": (X, 0.9**X, 0.01 * X), "wide": (X, 0.99**X)}
    fig = plots.series(
        points, {"narrow": (X, 0.91**X), "wide": (X, 0.98**X)}, **AXES, note="circles"
    )
    (ax,) = fig.axes
    narrow, wide = data.errorbars(ax)
    np.testing.assert_array_equal(narrow[0].get_ydata(), 0.9**X)
    lengths = [segment[1, 1] - segment[0, 1] for segment in narrow[2][0].get_segments()]
    np.testing.assert_allclose(lengths, 0.02 * X)
    assert narrow[0].get_color() != wide[0].get_color()
    drawn = [
        line.get_ydata()
        for line in data.lines_of(ax, narrow[0].get_color())
        if line.get_linestyle() == "-"
    ]
    assert any(np.array_equal(y, 0.91**X) for y in drawn)
    assert data.legend_texts(fig) == ["narrow", "wide"]
    assert data.notes(fig) == "circles; lines: predicted"


def test_few_points_are_black_and_routes_keep_their_colours():
    fig = plots.series(
        {"measured": (X, 0.9**X)}, {"exact": (X, 0.9**X), "infinite_width": (X, X**0.0)}, **AXES
    )
    (bars,) = data.errorbars(fig.axes[0])
    assert bars[0].get_color() == BLACK
    colours = {line.get_label(): line.get_color() for line in fig.axes[0].lines}
    assert colours["infinite width"] == VERMILLION
    assert colours["exact"] == route_styles(["exact"])["exact"].colour


def test_no_series_has_the_colour_of_a_route_beside_it():
    names = ["a", "b", "c", "d"]
    lines = {"infinite_width": (X, X), "a": (X, X)}
    fig = plots.series({name: (X, X) for name in names}, lines, **AXES)
    colours = [bars[0].get_color() for bars in data.errorbars(fig.axes[0])]
    assert len(set(colours)) == 4
    assert VERMILLION not in colours


@pytest.mark.slow
def test_a_logarithmic_axis_leaves_out_what_it_cannot_show_and_cuts_bars_that_reach_zero():
    y = np.array([1.0, -1.0, np.nan, 0.5, 0.01])
    fig = plots.series({"measured": (X, y, np.full(5, 0.2))}, **AXES, log_y=True)
    (bars,) = data.errorbars(fig.axes[0])
    np.testing.assert_array_equal(bars[0].get_xdata(), [1, 4, 5])
    ends = np.array([segment[:, 1] for segment in bars[2][0].get_segments()])
    np.testing.assert_allclose(ends, [[0.8, 1.2], [0.3, 0.7], [0.0001, 0.21]])
    plots.to_svg(fig)


def test_a_short_logarithmic_axis_has_plain_numbers():
    fig = plots.series({"measured": (X, 0.9**X)}, **AXES, log_y=True)
    fig.draw_without_rendering()
    texts = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    assert {"0.6", "0.7", "0.8", "0.9"} <= set(texts)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({}, "nothing to draw"),
        ({"a": (X,)}, "a: 1 columns"),
        ({"a": (X, X[:-1])}, "y of shape"),
        ({"a": ([], [])}, "not empty"),
    ],
)
def test_series_that_make_no_sense_are_refused(points, message):
    with pytest.raises(SpecError, match=message):
        plots.series(points, **AXES)


@pytest.mark.slow
def test_curve_images_shows_points_of_the_curve_above_its_results():
    start, end = np.zeros(16), np.ones(16)
    drawn = curves.line(start, end, "white to black")
    result = data.dataset_of(
        data.estimate_of(data.slope()), data.prediction_of(data.slope(), "exact")
    )
    fig = plots.curve_images({"white to black": (drawn, result), "again": (drawn, result)})
    pictures = [ax.images[0].get_array() for ax in fig.axes if ax.images]
    assert len(pictures) == 10
    np.testing.assert_allclose(
        [picture.mean() for picture in pictures[:5]], [0, 0.25, 0.5, 0.75, 1]
    )
    panels = [ax for ax in fig.axes if not ax.images]
    assert [ax.get_title(loc="left") for ax in panels] == ["white to black", "again"]
    np.testing.assert_array_equal(data.errorbars(panels[0])[0][0].get_ydata(), data.slope()[:, 0])
    plots.to_svg(fig)


def test_curve_images_refuses_curves_that_are_no_images():
    result = data.dataset_of(data.estimate_of(data.slope()), data.prediction_of(data.slope()))
    with pytest.raises(SpecError, match="dimension 2"):
        plots.curve_images({"circle": (curves.circle(2), result)})
    with pytest.raises(SpecError, match="0 curves"):
        plots.curve_images({})


def test_panels_share_colours_and_one_legend():
    fig = plots.series_panels(
        {
            "first": ({"narrow": (X, 0.9**X)}, {"narrow": (X, 0.91**X)}),
            "second": ({"wide": (X, 0.8**X), "narrow": (X, X)}, {}),
        },
        **AXES,
        title="Two panels",
    )
    axes = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in axes] == ["first", "second"]
    colours = {bars.get_label(): bars[0].get_color() for ax in axes for bars in data.errorbars(ax)}
    assert len(set(colours.values())) == 2
    assert data.errorbars(axes[0])[0][0].get_color() == colours["narrow"]
    assert data.legend_texts(fig) == ["narrow", "wide"]
    assert data.notes(fig) == "lines: predicted"


@pytest.mark.parametrize(
    ("panels", "message"),
    [
        ({}, "0 panels"),
        ({str(k): ({"a": (X, X)}, {}) for k in range(7)}, "7 panels"),
        ({"a": ({}, {})}, "nothing to draw"),
    ],
)
def test_panels_that_make_no_sense_are_refused(panels, message):
    with pytest.raises(SpecError, match=message):
        plots.series_panels(panels, **AXES)


@pytest.mark.parametrize(
    "bad", [None, "abc", [], 3, {"a": None}, {"a": "abc"}, {"a": ("x", "y")}, {"a": (X, 1j * X)}]
)
def test_points_and_panels_of_another_kind_are_refused(bad):
    for call in (
        lambda: plots.series(bad, **AXES),
        lambda: plots.series_panels(bad, **AXES),
        lambda: plots.series_panels({"one": (bad, {})}, **AXES),
    ):
        with pytest.raises(SpecError, match="Allowed"):
            call()
    if bad is not None:
        with pytest.raises(SpecError, match="Allowed"):
            plots.series({"a": (X, X)}, bad, **AXES)
