"""Width from which on infinite width is a good approximation."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError

NORM, ANGLE = di.quantities.log_norm, di.quantities.log_sin2_angle


def distance(width, quantity, inputs):
    net = di.MLP((width,) * 6)
    predicted, limit = di.predict(net, quantity, inputs), di.infinite(net, quantity, inputs)
    bias = np.abs(predicted.mean - limit.mean)
    unit = 0.05 * np.maximum(np.abs(limit.mean), 1.0)
    return np.max(bias / unit), np.max(np.sqrt(bias**2 + predicted.variance) / unit)


@pytest.mark.parametrize(
    ("quantity", "inputs"),
    [(NORM, di.inputs.ones(3)), pytest.param(ANGLE, di.inputs.pair(0.5), marks=pytest.mark.slow)],
)
def test_the_width_is_the_first_within_the_tolerance(quantity, inputs):
    found = di.width_for(di.MLP((64,) * 6), quantity, inputs)
    assert found.mean < found.network
    for width, which in ((found.mean, 0), (found.network, 1)):
        assert distance(width, quantity, inputs)[which] <= 1.0
        narrower = width - max(1, width // 50)
        assert distance(narrower, quantity, inputs)[which] > 1.0


def test_a_function_of_the_width_gives_the_same():
    net = di.MLP((64,) * 6)
    made = di.width_for(lambda width: di.MLP((width,) * 6), NORM, di.inputs.ones(3))
    assert made == di.width_for(net, NORM, di.inputs.ones(3))


def test_networks_without_a_width_are_refused():
    net = di.layers.Sequential(di.layers.Dense(8), di.layers.Activation("relu"), di.layers.Dense(1))
    with pytest.raises(SpecError, match="function width -> network"):
        di.width_for(net, NORM, di.inputs.ones(3))
    with pytest.raises(SpecError, match="tolerance=0"):
        di.width_for(di.MLP((8,)), NORM, di.inputs.ones(3), 0)


def test_plain_arrays_are_points():
    rows, net = [[1.0, 2.0], [0.5, -1.0]], di.MLP((8,) * 3)
    named = di.inputs.points(rows)
    for given in (rows, np.array(rows)):
        for route in (di.predict, di.infinite):
            np.testing.assert_array_equal(
                route(net, NORM, given).mean, route(net, NORM, named).mean
            )
    with pytest.raises(SpecError, match="points of shape"):
        di.predict(net, NORM, np.zeros((2, 2, 2)))
