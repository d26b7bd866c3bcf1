"""Order 1/width of composed networks as predictions: digits, masks, sizes."""

import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.layers import Activation, Dense, Dropout, Sequential
from deepinit.quantities.layer_expansions import Expanded, predicted

Q = di.quantities
LINEAR = Sequential(Dense(48), Dense(48), Dense(48), Dense(1))
PATHS = ("dense_1", "dense_2", "dense_3")


def test_angles_of_few_digits_are_refused():
    """Of small angles in linear networks the variance is 4 / width a layer."""
    small = di.predict(LINEAR, Q.log_sin2_angle, di.inputs.pair(2e-3, 16))
    np.testing.assert_allclose(small.variance[:, 0], np.array([4, 8, 12]) / 48, rtol=1e-3)
    for angle in (1e-4, 1e-5, 3e-8):  # variances below 0, means of 3000
        reason = Q.log_sin2_angle.theory("first_order").why_not(LINEAR, di.inputs.pair(angle, 16))
        assert "an angle below 1e-3" in reason


def test_sites_without_a_sound_second_order_are_out_of_range():
    found = Expanded(
        np.zeros((3, 1)), np.zeros((3, 1)), np.ones((3, 1)), np.array([[0.0], [0.2], [np.inf]])
    )
    prediction = predicted(found, PATHS)
    assert "variance unreliable from dense_2 on" in prediction.valid_for
    assert "mean and variance unreliable from dense_3 on" in prediction.valid_for
    np.testing.assert_array_equal(np.isnan(prediction.variance[:, 0]), [False, False, True])
    negative = found._replace(variance=-np.ones((3, 1)))
    with pytest.raises(SpecError, match="not finite"):
        predicted(negative, PATHS)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_equal_inputs_have_masks_of_their_own():
    """Unless shared: the product of equal inputs lacks the factor 1 / keep of a square."""
    x = np.random.default_rng(0).normal(size=16)
    points = di.inputs.points(np.stack([x, x]))

    def network(shared):
        drop = Dropout(0.5, shared=shared)
        return Sequential(Dense(64), Activation("tanh"), drop, Dense(64), Dense(1))

    for route in (di.infinite, di.predict):
        own, common = (route(network(shared), Q.nngp, points).mean[-2] for shared in (False, True))
        np.testing.assert_allclose(own[0], common[0], rtol=1e-9)
        np.testing.assert_allclose(common[1], common[0], rtol=1e-9)
        np.testing.assert_allclose(own[1], 0.5 * own[0], rtol=1e-9)
    sim = di.simulate(network(False), Q.nngp, points, num_seeds=1000)
    assert np.all(np.abs(sim.mean[-2] - own) < 5 * sim.standard_error[-2])
    assert sim.mean[-2, 0] - sim.mean[-2, 1] > 20 * sim.standard_error[-2, 1]


def test_squares_beyond_float64_are_refused():
    net = Sequential(Dense(8), Activation("relu"), Dense(8))
    for size in (1e-80, 1e80):
        points = di.inputs.points(size * np.ones((1, 4)))
        with pytest.raises(SpecError, match="first_order"):
            di.predict(net, Q.output_kurtosis, points)


@pytest.mark.parametrize("bias", [None, 0.3])
def test_rules_of_layers_where_an_architecture_has_no_theory(bias):
    """Norms of tanh or of biased networks are no Markov chain. Rival: infinite width."""
    law = None if bias is None else di.normal(bias, "absolute")
    spec, inputs = di.MLP((32,) * 3, di.tanh, bias_law=law), di.inputs.pair(0.5)
    variance = spec.weight_law.variance
    dense = Dense(32, di.normal(variance), law)
    layers = Sequential(*[layer for _ in range(3) for layer in (dense, Activation("tanh"))])
    found = di.predict(spec, Q.log_norm, inputs)
    same = di.predict(layers, Q.log_norm, inputs)
    np.testing.assert_allclose(found.mean, same.mean[1::2], rtol=1e-10)
    np.testing.assert_allclose(found.variance, same.variance[1::2], rtol=1e-10)
    assert np.all(np.abs(found.mean / di.infinite(spec, Q.log_norm, inputs).mean - 1)[1:] > 1e-3)
