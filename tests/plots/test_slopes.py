import numpy as np
import plot_data as data
import pytest
import xarray

from deepinit import plots
from deepinit.core.errors import SpecError

pytestmark = pytest.mark.filterwarnings("error")
WIDTHS = np.array([8.0, 16.0, 32.0])


@pytest.fixture
def comparison():
    slopes = np.arange(1.0, 13.0).reshape(6, 2)  # [layer, pair]
    difference = slopes / WIDTHS[:, None, None]
    return xarray.Dataset(
        {
            "difference": (("width", "layer", "component"), difference),
            "standard_error": (("width", "layer", "component"), 0.1 * difference),
            "predicted_difference": (
                ("width", "theory", "layer", "component"),
                np.stack([difference, 0 * difference], 1),
            ),
        },
        coords={
            "width": WIDTHS,
            "theory": ["first_order", "infinite_width"],
            "layer": np.arange(1, 7),
            "component": ["1, 1", "1, 2"],
        },
        attrs={"quantity": "nngp", "statistic": "mean"},
    )


def test_points_lie_at_one_over_width_and_lines_start_at_infinite_width(comparison):
    fig = plots.width_slopes(comparison, layers=(2, 6))
    axes = [ax for ax in fig.axes if ax.get_visible()]
    assert [ax.get_title(loc="left") for ax in axes] == ["component 1, 1", "component 1, 2"]
    bars = data.errorbars(axes[1])
    np.testing.assert_allclose(bars[0][0].get_xdata(), 1 / WIDTHS)
    np.testing.assert_allclose(bars[1][0].get_ydata(), 12.0 / WIDTHS)
    line = next(line for line in axes[1].lines if len(line.get_xdata()) == 4)
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (0.0, 0.0)
    assert data.legend_texts(fig) == ["layer 2", "layer 6"]
    assert data.notes(fig) == "lines: first order"


def test_a_spread_of_layers_keeps_the_last(comparison):
    assert data.legend_texts(plots.width_slopes(comparison))[-1] == "layer 6"


@pytest.mark.parametrize(
    ("layers", "pairs"),
    [
        ((7,), None),
        ((), None),
        (None, (2,)),
        ((1, 2, 3, 4, 5, 6), None),
        (3, None),
        ("12", None),
        ((1.5,), None),
        (None, True),
        (None, ("1, 1",)),
    ],
)
def test_what_is_not_there_is_refused(comparison, layers, pairs):
    with pytest.raises(SpecError, match="Leave them out"):
        plots.width_slopes(comparison, layers=layers, components=pairs)


def test_other_datasets_are_refused(comparison):
    with pytest.raises(SpecError, match=r"result of di\.compare_widths"):
        plots.width_slopes(comparison.drop_vars("difference"))
    with pytest.raises(SpecError, match=r"result of di\.compare_widths"):
        plots.width_slopes(None)
