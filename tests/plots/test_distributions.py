import numpy as np
import plot_data as data
import pytest
from matplotlib.patches import Rectangle

from deepinit import plots
from deepinit.core import inputs
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLUE, GREEN, VERMILLION, width_colour

pytestmark = pytest.mark.filterwarnings("error")


def normal_density(grid):
    return np.exp(-0.5 * grid**2) / np.sqrt(2.0 * np.pi)


def test_histogram_has_area_one_and_fifty_bins_and_the_given_curve():
    samples = np.random.default_rng(0).standard_normal(4000)
    grid = np.linspace(-4, 4, 100)
    curve = normal_density(grid)
    fig = plots.histogram(
        samples, density={"second_order": (grid, curve)}, label="$x$", notes="KS distance 0.01"
    )
    (ax,) = fig.axes
    bars = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(bars) == 50
    assert sum(bar.get_width() * bar.get_height() for bar in bars) == pytest.approx(1.0)
    (line,) = data.lines_of(ax, BLUE)
    np.testing.assert_array_equal(line.get_ydata(), curve)
    assert ax.get_title(loc="left") == "KS distance 0.01"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("$x$", "density")
    assert data.legend_texts(fig) == ["measured", "second order"]
    assert "4,000 networks" in fig.get_suptitle()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_histogram_row_names_its_panels_and_counts_what_is_left_out():
    rng = np.random.default_rng(1)
    samples = {f"layer {k}": rng.standard_normal(300) * k for k in (1, 4, 9)}
    samples["layer 4"][:7] = np.nan
    grid = np.linspace(-3, 3, 20)
    fig = plots.histogram(
        samples,
        density={"layer 9": {"infinite width": (grid, normal_density(grid))}},
        notes={"layer 1": "KS distance 0.02"},
        label="$x$",
    )
    titles = [ax.get_title(loc="left") for ax in fig.axes]
    assert titles == ["layer 1\nKS distance 0.02", "layer 4\n7 networks excluded", "layer 9"]
    assert [len(data.lines_of(ax, VERMILLION)) for ax in fig.axes] == [0, 0, 1]
    assert all(ax.get_xlabel() == "$x$" for ax in fig.axes)
    assert plots.to_svg(fig) == plots.to_svg(fig)


def test_histogram_refuses_what_it_cannot_show():
    values = np.arange(10.0)
    with pytest.raises(SpecError, match="no finite samples"):
        plots.histogram(np.full(5, np.nan))
    with pytest.raises(SpecError, match="7 panels"):
        plots.histogram({str(k): values for k in range(7)})
    with pytest.raises(SpecError, match="'elsewhere'"):
        plots.histogram({"here": values}, notes={"elsewhere": "KS"})
    with pytest.raises(SpecError, match="'elsewhere'"):
        plots.histogram({"here": values}, density={"elsewhere": {}})


WIDTHS = np.array([16, 32, 64, 128])


def test_widths_shows_distances_floor_and_guides():
    floor = np.full(4, 1e-3)
    fig = plots.widths(
        WIDTHS,
        np.zeros(4),
        floor,
        {"infinite_width": -2.0 / WIDTHS, "paper": 3.0 / WIDTHS**2},
        label=r"$\theta$",
        note="10 layers",
    )
    (ax,) = fig.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    (infinite,) = [line for line in data.lines_of(ax, VERMILLION) if line.get_linestyle() == "--"]
    np.testing.assert_allclose(infinite.get_ydata(), 2.0 / WIDTHS)
    guides = [line for line in ax.lines if line.get_linestyle() == ":"]
    slopes = [np.diff(np.log(line.get_ydata())) / np.diff(np.log(WIDTHS)) for line in guides]
    np.testing.assert_allclose(slopes, [[-1.0] * 3, [-2.0] * 3])
    hollow = [
        line
        for line in ax.lines
        if line.get_markerfacecolor() == "white" and line.get_color() == GREEN
    ]
    np.testing.assert_array_equal(
        hollow[0].get_xdata(), [64, 128]
    )  # 3/n^2 is below 1e-3 from n = 55 on
    assert data.legend_texts(fig) == ["infinite width", "paper", "below 1 standard error"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["16", "32", "64", "128"]
    assert r"$\theta$" in ax.get_ylabel()


def test_widths_takes_unordered_widths_zero_biases_and_missing_values():
    order = [2, 0, 3, 1]
    bias = np.array([0.5, 0.0, np.nan, 0.1])
    fig = plots.widths(WIDTHS[order], np.ones(4), np.full(4, 0.2), {"paper": 1.0 + bias[order]})
    (line,) = [line for line in data.lines_of(fig.axes[0], GREEN) if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(line.get_xdata(), WIDTHS)
    np.testing.assert_allclose(line.get_ydata(), [0.5, np.nan, np.nan, 0.1])
    plots.to_png(fig)
    plots.to_png(plots.widths([8], [1.0], [0.1], {"paper": [1.0]}))


def test_widths_refuses_lengths_that_differ():
    with pytest.raises(SpecError, match="paper of shape"):
        plots.widths(WIDTHS, np.zeros(4), np.ones(4), {"paper": np.zeros(3)})
    with pytest.raises(SpecError, match="no predictions"):
        plots.widths(WIDTHS, np.zeros(4), np.ones(4), {})
    with pytest.raises(SpecError, match="each 1 or more"):
        plots.widths([0, 1], np.zeros(2), np.ones(2), {"paper": np.zeros(2)})


def test_by_width_colours_widths_and_draws_infinite_width_once():
    results = {
        width: (
            data.estimate_of(data.slope(5) / width),
            data.prediction_of(data.slope(5) / width + 0.1),
            data.prediction_of(data.slope(5), "infinite_width"),
        )
        for width in (64, 8)
    }
    fig = plots.by_width(results, symbol=data.SYMBOL)
    (ax,) = fig.axes
    assert [bars[0].get_color() for bars in data.errorbars(ax)] == [
        width_colour(8),
        width_colour(64),
    ]
    assert len(data.lines_of(ax, VERMILLION)) == 1
    (theory,) = [line for line in data.lines_of(ax, width_colour(8)) if line.get_linestyle() == "-"]
    np.testing.assert_array_equal(theory.get_ydata(), data.slope(5)[:, 0] / 8 + 0.1)
    assert set(data.legend_texts(fig)) == {"$n = 8$", "$n = 64$", "second order", "infinite width"}
    with pytest.raises(SpecError, match="no widths"):
        plots.by_width({})


def digits(num_pairs, side=4):
    rows = np.random.default_rng(3).uniform(0.1, 1.0, size=(2, num_pairs, side * side))
    return inputs.from_arrays(rows[0], rows[1])


@pytest.mark.parametrize(("num_pairs", "shown"), [(1, 1), (3, 3), (6, 4)])
def test_image_pairs_puts_both_images_above_their_curve(num_pairs, shown):
    pairs = digits(num_pairs)
    estimate = data.estimate_of(data.slope(5, num_pairs) - np.arange(num_pairs))
    fig = plots.image_pairs(pairs, estimate, data.prediction_of(data.slope(5, num_pairs)))
    pictures = [ax for ax in fig.axes if ax.images]
    panels = [ax for ax in fig.axes if not ax.images]
    assert (len(pictures), len(panels)) == (2 * shown, shown)
    np.testing.assert_array_equal(pictures[0].images[0].get_array(), pairs.points[0].reshape(4, 4))
    np.testing.assert_allclose(pictures[1].images[0].get_array(), pairs.partners[0].reshape(4, 4))
    assert pictures[0].get_title(loc="left") == f"angle {np.degrees(pairs.angles[0]):.0f}°"
    np.testing.assert_array_equal(
        data.errorbars(panels[-1])[0][0].get_ydata(), estimate.mean[:, shown - 1]
    )
    if shown < num_pairs:
        assert "4 of 6 components shown" in data.notes(fig)


def test_image_pairs_shows_images_alone_and_refuses_what_is_no_image():
    assert len(plots.image_pairs(digits(2)).axes) == 4
    with pytest.raises(SpecError, match="dimension 5"):
        plots.image_pairs(inputs.pair(0.1, dimension=5))
    with pytest.raises(SpecError, match="results for 3 pairs"):
        plots.image_pairs(digits(2), data.estimate_of(data.slope(5, 3)))
