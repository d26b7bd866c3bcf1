import dataclasses

import numpy as np
import plot_data as data
import pytest
import xarray
from matplotlib.collections import FillBetweenPolyCollection

from deepinit import plots
from deepinit.core.errors import SpecError
from deepinit.plots.style import BLUE, GREEN, KNOWN_COLOURS, VERMILLION, route_styles, width_colour

pytestmark = pytest.mark.filterwarnings("error")


def test_layers_draws_means_with_their_errors_and_every_route():
    estimate = data.estimate_of(data.slope(), sd=np.linspace(0.2, 0.9, 8)[:, None])
    fig = plots.layers(
        estimate,
        data.prediction_of(data.slope() - 0.01, variance=0.25),
        data.prediction_of(data.slope(step=-0.05), "infinite_width"),
    )
    (ax,) = fig.axes
    (bars,) = data.errorbars(ax)
    np.testing.assert_array_equal(bars[0].get_ydata(), estimate.mean[:, 0])
    lengths = [segment[1, 1] - segment[0, 1] for segment in bars[2][0].get_segments()]
    np.testing.assert_allclose(lengths, 2.0 * estimate.standard_error[:, 0])
    theory, lower, upper = sorted(data.lines_of(ax, BLUE), key=lambda line: -line.get_linewidth())
    np.testing.assert_array_equal(theory.get_ydata(), data.slope()[:, 0] - 0.01)
    assert theory.get_linestyle() == "-"
    np.testing.assert_allclose(
        upper.get_ydata() - lower.get_ydata(), 1.0
    )  # two predicted sds of 1/2
    (infinite,) = data.lines_of(ax, VERMILLION)
    assert infinite.get_linestyle() == "--"
    (band,) = [c for c in ax.collections if isinstance(c, FillBetweenPolyCollection)]
    points = band.get_paths()[0].vertices
    assert points[:, 1].max() == pytest.approx(
        np.max(data.slope()[:, 0] + np.linspace(0.2, 0.9, 8))
    )
    texts = data.legend_texts(fig)
    assert texts == [
        "measured ± standard error",
        "± standard deviation over networks",
        "second order",
        "infinite width",
        "± predicted standard deviation",
    ]
    assert not ax.get_legend()  # below the panel, where it covers nothing
    assert (fig.get_figwidth(), fig.get_figheight(), fig.dpi) == (7.0, 4.5, 150)


def test_without_spread_means_and_their_errors_remain():
    estimate, theory = data.estimate_of(data.slope()), data.prediction_of(data.slope(), variance=1)
    texts = data.legend_texts(plots.layers(estimate, theory, spread=False))
    assert texts == ["measured ± standard error", "second order"]


def test_axes_are_named_with_symbols_or_else_in_words():
    fig = plots.layers(data.estimate_of(data.slope()), symbol=data.SYMBOL)
    assert fig.axes[0].get_xlabel() == r"layer $\ell$"
    assert fig.axes[0].get_ylabel() == data.SYMBOL
    assert plots.layers(data.estimate_of(data.slope())).axes[0].get_ylabel() == "log sin2 angle"
    assert "Log sin2 angle, layer by layer" in fig.get_suptitle()


@pytest.mark.slow
def test_a_dataset_gives_the_same_curves_as_the_results_it_holds():
    estimate, prediction = (
        data.estimate_of(data.slope(3)),
        data.prediction_of(data.slope(3) + 0.02, variance=0.3),
    )
    one = plots.layers(estimate, prediction, symbol=data.SYMBOL)
    other = plots.layers(data.dataset_of(estimate, prediction))
    assert plots.to_svg(one) == plots.to_svg(other)
    assert plots.to_svg(one) != plots.to_svg(
        plots.layers(data.dataset_of(data.estimate_of(data.slope(3) + 0.1), prediction))
    )


@dataclasses.dataclass
class Holder:
    dataset: xarray.Dataset


@pytest.mark.slow
def test_what_carries_a_dataset_is_read_like_it():
    dataset = data.dataset_of(data.estimate_of(data.slope()), data.prediction_of(data.slope()))
    assert plots.to_svg(plots.layers(Holder(dataset))) == plots.to_svg(plots.layers(dataset))


@pytest.mark.parametrize(("num_pairs", "panels"), [(1, 1), (2, 2), (4, 4), (6, 6), (11, 6)])
def test_pairs_become_at_most_six_panels_each_with_its_own_scale(num_pairs, panels):
    mean = data.slope(6, num_pairs) - 10.0 * np.arange(num_pairs)
    fig = plots.layers(data.estimate_of(mean), data.prediction_of(mean))
    visible = [ax for ax in fig.axes if ax.get_visible()]
    assert len(visible) == panels
    assert len({ax.get_ylim() for ax in visible}) == panels
    assert len({ax.get_xlim() for ax in visible}) == 1
    np.testing.assert_array_equal(data.errorbars(visible[0])[0][0].get_ydata(), mean[:, 0])
    np.testing.assert_array_equal(data.errorbars(visible[-1])[0][0].get_ydata(), mean[:, -1])
    assert len(set(data.legend_texts(fig))) == len(data.legend_texts(fig)) == 3


@pytest.mark.parametrize("pair", [2, -1, "wide"])
def test_one_pair_can_be_chosen_by_index_or_name(pair):
    mean = data.slope(6, 3) - np.arange(3)
    fig = plots.layers(
        data.dataset_of(
            data.estimate_of(mean), data.prediction_of(mean), components=["a", "b", "wide"]
        ),
        component=pair,
    )
    (ax,) = fig.axes
    np.testing.assert_array_equal(data.errorbars(ax)[0][0].get_ydata(), mean[:, 2])
    assert "wide" in data.notes(fig)


def test_one_layer_is_visible_without_lines():
    fig = plots.layers(
        data.estimate_of([[1.0]]),
        data.prediction_of([[1.1]], variance=0.2),
        data.prediction_of([[0.7]], "infinite"),
    )
    (ax,) = fig.axes
    dashes = [
        line.get_ydata()[0]
        for line in ax.lines
        if line.get_marker() == "_" and line.get_markersize() == 18
    ]
    assert dashes == [1.1, 0.7]
    assert list(ax.get_xticks()) == [1]


@pytest.mark.slow
def test_undefined_layers_leave_gaps_and_no_infinite_axis():
    mean = data.slope(8)
    mean[3:5] = np.nan
    fig = plots.layers(
        data.estimate_of(mean),
        data.prediction_of(np.where(np.arange(8)[:, None] == 6, np.nan, data.slope(8))),
    )
    (ax,) = fig.axes
    assert np.isnan(data.errorbars(ax)[0][0].get_ydata()[3:5]).all()
    assert np.isfinite(ax.get_ylim()).all()
    plots.to_png(fig)
    everything_undefined = plots.layers(data.estimate_of(np.full((3, 1), np.nan)))
    plots.to_png(everything_undefined)


def test_many_layers_are_thinned_and_the_legend_says_so():
    fig = plots.layers(data.estimate_of(data.slope(400)), data.prediction_of(data.slope(400)))
    assert len(data.errorbars(fig.axes[0])[0][0].get_xdata()) == 40
    assert "measured ± standard error (every 10th)" in data.legend_texts(fig)
    assert len(data.lines_of(fig.axes[0], BLUE)[0].get_xdata()) == 400


def test_only_predictions_or_several_estimates_are_enough():
    fig = plots.layers(
        data.prediction_of(data.slope(), "paper"),
        data.prediction_of(data.slope() + 1.0, "infinite_width"),
    )
    assert data.legend_texts(fig) == ["paper", "infinite width"]
    fig = plots.layers(
        data.estimate_of(data.slope(), num_seeds=50), data.estimate_of(data.slope(), num_seeds=70)
    )
    assert len(data.errorbars(fig.axes[0])) == 2
    assert "measured, 70 networks ± standard error" in data.legend_texts(fig)


def test_variance_layers_shows_standard_deviations():
    estimate = data.estimate_of(data.slope(), sd=np.linspace(0.2, 0.9, 8)[:, None], num_seeds=200)
    fig = plots.variance_layers(
        estimate,
        data.prediction_of(data.slope(), variance=0.16),
        data.prediction_of(data.slope(), "infinite_width"),
        symbol=data.SYMBOL,
    )
    (ax,) = fig.axes
    (bars,) = data.errorbars(ax)
    np.testing.assert_allclose(bars[0].get_ydata(), np.linspace(0.2, 0.9, 8))
    half = [0.5 * (s[1, 1] - s[0, 1]) for s in bars[2][0].get_segments()]
    # normal theory: the standard error of an sd is sd / sqrt(2 n)
    np.testing.assert_allclose(half, np.linspace(0.2, 0.9, 8) / np.sqrt(2 * 200))
    np.testing.assert_allclose(data.lines_of(ax, BLUE)[0].get_ydata(), 0.4)
    assert not data.lines_of(ax, VERMILLION)
    assert "no spread predicted by: infinite width" in data.notes(fig)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ((), "nothing to plot"),
        ((np.zeros(3),), "ndarray"),
        (
            (
                data.estimate_of(data.slope()),
                dataclasses.replace(data.prediction_of(data.slope()), quantity="length"),
            ),
            "length",
        ),
        ((data.estimate_of(data.slope(8)), data.prediction_of(data.slope(7))), r"\(7, 1\)"),
        ((data.estimate_of(np.zeros((2, 2, 2))),), r"\(2, 2, 2\)"),
        ((xarray.Dataset({"mean": 1.0}),), "standard_error"),
    ],
)
def test_what_cannot_be_drawn_is_refused(results, message):
    with pytest.raises(SpecError, match=message):
        plots.layers(*results)


@pytest.mark.parametrize("pair", [2, -3, "c"])
def test_a_pair_that_does_not_exist_is_refused(pair):
    with pytest.raises(SpecError, match="component"):
        plots.layers(
            data.dataset_of(
                data.estimate_of(data.slope(3, 2)),
                data.prediction_of(data.slope(3, 2)),
                components=["a", "b"],
            ),
            component=pair,
        )


def test_a_route_keeps_its_colour_from_figure_to_figure():
    alone = route_styles(["my theory"])["my theory"]
    among = route_styles(["paper", "infinite_width", "my theory"])
    assert among["my theory"].colour == alone.colour
    assert among["paper"].colour == GREEN
    assert among["infinite width" if "infinite width" in among else "infinite_width"].dash == "--"
    names = ["second_order", "hybrid", "first_order", "paper", "approximation", "infinite_width"]
    assert len({style.colour for style in route_styles(names).values()}) == len(names)
    assert len(set(KNOWN_COLOURS.values())) == 9
    assert len({width_colour(2**k) for k in range(2, 12)}) == 10


def test_a_dictionary_names_the_curves():
    first, second = data.estimate_of(data.slope()), data.estimate_of(data.slope() + 1.0)
    predicted = data.prediction_of(data.slope(), "paper")
    texts = data.legend_texts(plots.layers({"relu": first, "tanh": [second, predicted]}))
    assert "relu ± standard error" in texts
    assert "tanh ± standard error" in texts
    assert "tanh, paper" in texts
    (ax,) = plots.layers({"relu": first, "tanh": [second, predicted]}).axes
    relu, tanh = (bars[0].get_color() for bars in data.errorbars(ax))
    assert relu != tanh
    assert data.lines_of(ax, tanh)  # the prediction has the colour of its network
    with pytest.raises(SpecError, match="empty dictionary"):
        plots.layers({})


def test_figures_show_themselves_in_notebooks():
    fig = plots.layers(data.estimate_of(data.slope()))
    assert fig._repr_png_().startswith(b"\x89PNG")
