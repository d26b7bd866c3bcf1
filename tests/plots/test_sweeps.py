"""Figures of sweeps."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

Q = di.quantities
NET = di.MLP((8, 8))
VARIANCES = [0.5, 1.0, 2.0]
ONE = di.Sweep(NET, over={"weight_law.variance": VARIANCES})
TWO = di.Sweep(NET, over={"weight_law.variance": VARIANCES, "inputs.angle": [0.1, 0.2]})


@pytest.fixture(scope="module")
def lines():
    return di.infinite(ONE, Q.nngp, di.inputs.ones(3))


def test_one_name_is_a_line_with_its_predictions(lines):
    fig = di.plots.sweep(lines, predictions={"infinite_width": lines}, title="Kernel")
    ax = fig.axes[0]
    for line in ax.lines[:2]:
        np.testing.assert_array_equal(line.get_xdata(), VARIANCES)
        np.testing.assert_array_equal(line.get_ydata(), lines.dataset["mean"].values[:, -1, 0])
    assert ax.get_xlabel() == "weight_law.variance"
    first = di.plots.sweep(lines, layer=1).axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(first, lines.dataset["mean"].values[:, 0, 0])


def test_two_names_are_a_heat_map():
    found = di.infinite(TWO, Q.nngp, di.inputs.pair)
    fig = di.plots.sweep(found, component=1)
    image = fig.axes[0].images[0]
    np.testing.assert_array_equal(image.get_array(), found.dataset["mean"].values[:, :, -1, 1])
    assert (fig.axes[0].get_ylabel(), fig.axes[0].get_xlabel()) == TWO.names
    assert [text.get_text() for text in fig.axes[0].get_yticklabels()] == ["0.5", "1", "2"]


def test_texts_are_ticks():
    sweep = di.Sweep(NET, over={"widths": [(8, 8), (4, 4)]})
    ax = di.plots.sweep(di.infinite(sweep, Q.nngp, di.inputs.ones(3))).axes[0]
    assert [text.get_text() for text in ax.get_xticklabels()] == ["8 x 2", "4 x 2"]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"layer": 3}, "1 to 2"), ({"component": 1}, "0 to 0"), ({"variable": "men"}, "mean")],
)
def test_what_a_sweep_does_not_have_is_refused(lines, options, message):
    with pytest.raises(SpecError, match=message):
        di.plots.sweep(lines, **options)
