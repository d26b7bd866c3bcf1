"""Growth of the norm under weight laws that are not Gaussian."""

import numpy as np
import pytest
from statistical import assert_mean, assert_value, assert_variance

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff import log_norm_drift, log_norm_propagation

X = np.eye(6)[:1] + 0.1


@pytest.mark.parametrize(("activation", "variance"), [(di.linear, 1.0), (di.relu, 2.0)])
@pytest.mark.slow_cases("activation1-2.0")
@pytest.mark.exhaustive_cases("activation0-1.0")
@pytest.mark.exhaustive_cases("activation1-2.0")
def test_drift_of_uniform_weights_against_simulation_where_the_gaussian_law_is_rejected(
    activation, variance
):
    net = di.MLP((32, 32, 32), activation, di.uniform(variance))
    sim = di.simulate(
        net,
        di.quantities.log_norm,
        di.inputs.points(X),
        num_seeds=20_000,
        key=3,
        linear_map="explicit",
    )
    walk = log_norm_propagation(net, X)
    gaussian = log_norm_propagation(di.MLP((32, 32, 32), activation, di.normal(variance)), X)
    assert_mean(sim, walk.mean, rejects=gaussian.mean)
    first = sim.mean[0], sim.standard_error[0]
    assert_value(*first, walk.mean[0], rejects=gaussian.mean[0])
    assert not walk.is_exact


@pytest.mark.parametrize("width", [2, 7])
@pytest.mark.slow
def test_drift_of_orthogonal_relu_layers_is_exact(width):
    net = di.MLP((width, width + 1), di.leaky_relu(0.3), di.orthogonal(1.7))
    sim = di.simulate(net, di.quantities.log_norm, di.inputs.points(X), num_seeds=20_000, key=3)
    walk = log_norm_propagation(net, X)
    assert walk.is_exact
    gaussian = log_norm_propagation(
        di.MLP((width, width + 1), di.leaky_relu(0.3), di.normal(1.7)), X
    )
    assert_mean(sim, walk.mean, rejects=gaussian.mean)
    assert_variance(sim, walk.variance, rejects=gaussian.variance, resolves=0.1)


def test_walk_of_gaussian_layers_adds_the_exact_drifts():
    drift = log_norm_drift("relu", 5, 2.0)
    walk = log_norm_propagation(di.MLP((5,) * 3, di.relu, di.normal(2.0)), np.ones((1, 5)))
    assert walk.mean[:, 0] == pytest.approx(drift.drift * np.arange(1, 4))
    assert walk.variance[:, 0] == pytest.approx(drift.variance * np.arange(1, 4))


def test_later_layers_have_the_stationary_drift():
    net = di.MLP((16,) * 3, di.linear, di.uniform(1.0))
    step = np.diff(log_norm_propagation(net, X).mean[:, 0])[-1]
    assert step == pytest.approx(
        log_norm_drift("linear", 16, 1.0, excess_kurtosis=-1.2).drift, rel=1e-12
    )
    assert step - log_norm_drift("linear", 16, 1.0).drift == pytest.approx(0.75 * 1.2 / 16**2)


def test_what_the_walk_refuses():
    with pytest.raises(SpecError, match="homogeneous"):
        log_norm_propagation(di.MLP((4,), di.tanh), X)
    with pytest.raises(SpecError, match="positive norm"):
        log_norm_propagation(di.MLP((4,)), np.zeros((1, 3)))
    with pytest.raises(SpecError, match="excess_kurtosis"):
        log_norm_drift("linear", 4, 1.0, excess_kurtosis=-3.0)
