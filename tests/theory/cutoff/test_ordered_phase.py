import math

import numpy as np
import pytest
from statistical import assert_mean, assert_value

from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.theory.angles.kernel_propagation import InputGram, kernel_propagation
from deepinit.theory.cutoff import log_norm_drift, mean_field, ordered_cutoff


@pytest.mark.parametrize(
    ("sigma_w", "chi_1", "gamma"), [(0.9, 0.60037, 0.2551), (1.0, 0.70026, 0.1782)]
)
def test_ordered_phase_with_biases(sigma_w, chi_1, gamma):
    limit = mean_field("tanh", sigma_w**2, 0.09)
    assert limit.tangent_multiplier == limit.pair_multiplier == pytest.approx(chi_1, abs=6e-6)
    assert limit.cosine == 1.0
    assert 0.5 / limit.pair_scale == pytest.approx(gamma, abs=6e-5)
    result = ordered_cutoff("tanh", sigma_w**2, 10**9, math.log(1e3), bias_var=0.09)
    assert result.centre == pytest.approx(result.wide_centre, rel=1e-7)
    assert result.wide_centre == pytest.approx(2.0 * limit.pair_scale * math.log(1e3))


def test_rate_of_sampled_networks_with_biases():
    # a rate per network over layers 6..16; at width 32 1/N shifts it by 0.021, the error is 0.0006
    rng, width, networks, weight_var, bias_var = np.random.default_rng(8), 32, 6000, 0.81, 0.09
    q = mean_field("tanh", weight_var, bias_var).mean_square
    x = np.full((networks, width), math.sqrt(q))
    d = 1e-4 * np.where(np.arange(width) % 2, 1.0, -1.0) * x
    logs = []
    for _ in range(16):
        xx, xd, dd = (np.mean(product, axis=1) for product in (x * x, x * d, d * d))
        g = rng.normal(size=(3, networks, width))
        std = np.sqrt(xx)[:, None]
        z = math.sqrt(weight_var) * std * g[0] + math.sqrt(bias_var) * g[1]
        step = math.sqrt(weight_var) * (
            (xd / xx)[:, None] * std * g[0]
            + np.sqrt(np.maximum(dd - xd**2 / xx, 0.0))[:, None] * g[2]
        )
        x, t = np.tanh(z), np.tanh(step)
        d = t * (1.0 - x * x) / (1.0 + x * t)  # tanh(z + step) - tanh(z)
        logs.append(0.5 * np.log(np.sum(d * d, axis=1)))
    rates = (logs[15] - logs[5]) / 10.0
    error = rates.std() / math.sqrt(networks)
    result = ordered_cutoff("tanh", weight_var, width, 1.0, bias_var=bias_var)
    # the rival: infinite width
    assert_mean(rates, result.drift, rejects=-0.5 / result.depth_scale, resolves=0.02)
    assert abs(rates.mean() + 0.5 / result.depth_scale) > 20.0 * error
    # the rival without fluctuations of length and overlap: 0.586 in place of 0.681 and 0.643
    assert abs(rates.mean() + 0.5 / result.depth_scale + 0.586 / width) > 4.0 * error
    assert rates.var() * 10.0 == pytest.approx(result.variance, rel=0.06)


@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"),
    [("tanh", 0.81, 0.09), ("gelu", 1.21, 0.05), ("erf", 0.64, 0.2)],
)
@pytest.mark.slow_cases("gelu-1.21-0.05")
def test_variance_agrees_with_the_walk_of_norms_and_angle(activation, weight_var, bias_var):
    width = 10_000
    q = mean_field(activation, weight_var, bias_var).mean_square
    spec = MLP((width,) * 30, activation, normal(weight_var), normal(bias_var, "absolute"))
    walk = kernel_propagation(spec, InputGram(q, q, 0.1))
    result = ordered_cutoff(activation, weight_var, width, 1.0, bias_var=bias_var)
    assert result.variance == pytest.approx(np.diff(walk.log_sin2_variance)[-1] / 4.0, rel=1e-3)


def test_relu_with_biases_has_the_exact_walk_to_first_order():
    for width in (50, 500):
        result = ordered_cutoff("relu", 1.44, width, 5.0, bias_var=0.1)
        exact = log_norm_drift("relu", width, 1.44)
        assert result.drift == pytest.approx(
            exact.drift, abs=2.3 / width**2
        )  # 49/24 at second order
        assert result.variance == pytest.approx(exact.variance, abs=6.0 / width**2)


def test_without_biases_the_signal_itself_goes_to_zero():
    result = ordered_cutoff("tanh", 0.49, 16, math.log(1e3), layers=[0, 18, 40])
    exact = log_norm_drift("tanh", 16, 0.49)
    assert (result.drift, result.variance) == (exact.drift, exact.variance)
    assert result.wide_centre == pytest.approx(math.log(1e3) / abs(math.log(0.7)))
    assert result.survival[0] == pytest.approx(1.0)
    assert result.survival[2] < 0.05
    limit = mean_field("tanh", 0.49)
    assert (limit.mean_square, limit.length_multiplier, limit.cosine) == (0.0, 0.49, 1.0)
    relu = ordered_cutoff("relu", 1.0, 64, math.log(1e3))
    assert relu.centre == pytest.approx(18.84, abs=6e-3)


def test_coefficients_of_the_drift_of_two_inputs():
    at_64, at_9999 = (
        ordered_cutoff("tanh", 0.81, width, 6.9, bias_var=0.09) for width in (64, 9999)
    )
    assert at_64.drift == pytest.approx(at_64.drift_limit + at_64.drift_coefficient / 64, rel=1e-12)
    assert at_64.variance == pytest.approx(at_64.variance_coefficient / 64, rel=1e-12)
    assert at_64[-3:] == at_9999[-3:]
    # simulated drift and its standard error; the rival is infinite width
    assert_value(-0.2661, 0.0006, at_64.drift, rejects=at_64.drift_limit, resolves=0.012)
    assert 0.6 < at_64.variance_coefficient < 0.7  # the table of the dossier


@pytest.mark.parametrize(
    ("activation", "gain2", "coefficient"), [("linear", 0.5, 0.5), ("relu", 1.0, 1.25)]
)
def test_coefficients_without_biases_are_those_of_the_exact_walk(activation, gain2, coefficient):
    result = ordered_cutoff(activation, gain2, 4000, 5.0)
    assert (result.drift_coefficient, result.variance_coefficient) == pytest.approx(
        (-coefficient, coefficient)
    )
    assert (result.drift - result.drift_limit) * 4000 == pytest.approx(-coefficient, rel=1e-3)
    assert result.variance * 4000 == pytest.approx(coefficient, rel=1e-3)
