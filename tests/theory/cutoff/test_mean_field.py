import math

import jax
import mpmath as mp
import numpy as np
import pytest
from scipy.stats import norm

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.theory.angles.kernel_propagation import InputGram, kernel_walk
from deepinit.theory.cutoff import (
    koenigs_amplitude,
    log_norm_drift,
    mean_field,
    mean_field_cutoff,
    ordered_cutoff,
)
from deepinit.theory.cutoff.mean_field import (
    Recursion,
    checked_recursion,
    length_multiplier,
    length_step,
    overlap_step,
)


@pytest.mark.parametrize("width_t50", [(64, 4.89), (256, 5.90), (1024, 6.92)])
def test_one_input_of_tanh(width_t50):
    width, t50 = width_t50
    found = mean_field_cutoff("tanh", 1.5**2, width, mean_square=0.05, layers=[0.0, 3.0])
    assert found.fixed_point == pytest.approx(0.3526018, abs=6e-8)
    assert found.multiplier == pytest.approx(0.5046778, abs=6e-8)
    assert found.amplitude == pytest.approx(-1.63597, abs=6e-6)
    assert found.spread == pytest.approx(0.34213, abs=6e-6)
    assert found.t50 == pytest.approx(t50, abs=6e-3)
    distance = 1.63597 * 0.5046778**3 * math.sqrt(width) / 0.34213
    assert found.total_variation[1] == pytest.approx(2.0 * norm.cdf(distance / 2.0) - 1.0, abs=1e-4)


@pytest.mark.parametrize(
    ("gain", "scale", "multiplier", "amplitude", "t50"),
    [
        (1.5, 17.05, 0.94303, 1.9085, (22.6, 34.4, 46.2)),
        (2.5, 5.672, None, 1.7104, (9.70, 13.63, 17.56)),
    ],
)
@pytest.mark.slow_cases("2.5-5.672-None-1.7104-t501")
def test_two_inputs_of_tanh(gain, scale, multiplier, amplitude, t50):
    found = [mean_field_cutoff("tanh", gain**2, width, cosine=0.9) for width in (64, 256, 1024)]
    limit = mean_field("tanh", gain**2)
    assert limit.cosine == 0.0
    assert found[0].depth_scale == pytest.approx(scale, rel=3e-4)
    assert found[0].multiplier == pytest.approx(multiplier or math.exp(-1.0 / scale), rel=1e-4)
    assert found[0].amplitude / limit.mean_square == pytest.approx(amplitude, abs=6e-5)
    assert found[0].spread / limit.mean_square == pytest.approx(
        1.0 / math.sqrt(1.0 - found[0].multiplier ** 2)
    )
    assert [each.t50 for each in found] == pytest.approx(t50, abs=0.06)
    # quadrupling the width adds xi log 2 layers
    assert found[1].centre - found[0].centre == pytest.approx(found[0].depth_scale * math.log(2.0))


@pytest.mark.parametrize(
    ("sigma_w", "chi_1", "gamma"), [(0.9, 0.60037, 0.2551), (1.0, 0.70026, 0.1782)]
)
def test_ordered_phase_with_biases(sigma_w, chi_1, gamma):
    limit = mean_field("tanh", sigma_w**2, 0.09)
    assert limit.tangent_multiplier == limit.pair_multiplier == pytest.approx(chi_1, abs=6e-6)
    assert limit.cosine == 1.0
    assert 0.5 / limit.pair_scale == pytest.approx(gamma, abs=6e-5)
    found = ordered_cutoff("tanh", sigma_w**2, 10**9, math.log(1e3), bias_var=0.09)
    assert found.centre == pytest.approx(found.wide_centre, rel=1e-7)
    assert found.wide_centre == pytest.approx(2.0 * limit.pair_scale * math.log(1e3))


@pytest.mark.parametrize(
    ("sigma_w", "width", "gamma", "error"),
    [
        (0.9, 16, 0.2983, 0.0008),
        (0.9, 64, 0.2661, 0.0006),
        (1.0, 16, 0.2241, 0.0008),
        (1.0, 64, 0.1898, 0.0006),
    ],
)
def test_rates_measured_at_finite_width(sigma_w, width, gamma, error):
    # published with their standard errors; the infinite-width rate is 10 to 50 errors away
    found = ordered_cutoff("tanh", sigma_w**2, width, 1.0, bias_var=0.09)
    assert abs(-found.drift - gamma) < 2.5 * error
    assert abs(0.5 / found.depth_scale - gamma) > 10.0 * error


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
    found = ordered_cutoff("tanh", weight_var, width, 1.0, bias_var=bias_var)
    assert abs(rates.mean() - found.drift) < 5.0 * error
    assert abs(rates.mean() + 0.5 / found.depth_scale) > 20.0 * error
    # the rival without fluctuations of length and overlap: 0.586 in place of 0.681 and 0.643
    assert abs(rates.mean() + 0.5 / found.depth_scale + 0.586 / width) > 4.0 * error
    assert rates.var() * 10.0 == pytest.approx(found.variance, rel=0.06)


@pytest.mark.parametrize(
    ("activation", "weight_var", "bias_var"),
    [("tanh", 0.81, 0.09), ("gelu", 1.21, 0.05), ("erf", 0.64, 0.2)],
)
@pytest.mark.slow_cases("gelu-1.21-0.05")
def test_variance_agrees_with_the_walk_of_norms_and_angle(activation, weight_var, bias_var):
    width = 10_000
    q = mean_field(activation, weight_var, bias_var).mean_square
    spec = MLP((width,) * 30, activation, normal(weight_var), normal(bias_var, "absolute"))
    walk = kernel_walk(spec, InputGram(q, q, 0.1))
    found = ordered_cutoff(activation, weight_var, width, 1.0, bias_var=bias_var)
    assert found.variance == pytest.approx(np.diff(walk.log_sin2_variance)[-1] / 4.0, rel=1e-3)


def test_relu_with_biases_has_the_exact_walk_to_first_order():
    for width in (50, 500):
        found = ordered_cutoff("relu", 1.44, width, 5.0, bias_var=0.1)
        exact = log_norm_drift("relu", width, 1.44)
        assert found.drift == pytest.approx(
            exact.drift, abs=2.3 / width**2
        )  # 49/24 at second order
        assert found.variance == pytest.approx(exact.variance, abs=6.0 / width**2)


def test_without_biases_the_signal_itself_goes_to_zero():
    found = ordered_cutoff("tanh", 0.49, 16, math.log(1e3), layers=[0, 18, 40])
    exact = log_norm_drift("tanh", 16, 0.49)
    assert (found.drift, found.variance) == (exact.drift, exact.variance)
    assert found.wide_centre == pytest.approx(math.log(1e3) / abs(math.log(0.7)))
    assert found.survival[0] == pytest.approx(1.0)
    assert found.survival[2] < 0.05
    limit = mean_field("tanh", 0.49)
    assert (limit.mean_square, limit.length_multiplier, limit.cosine) == (0.0, 0.49, 1.0)
    relu = ordered_cutoff("relu", 1.0, 64, math.log(1e3))
    assert relu.centre == pytest.approx(18.84, abs=6e-3)


@pytest.mark.parametrize(
    ("activation", "function"), [("tanh", mp.tanh), ("silu", lambda x: x / (1 + mp.exp(-x)))]
)
def test_length_map_by_quadrature(activation, function):
    recursion, q = checked_recursion(activation, 1.7, 0.2), 0.6
    std = mp.sqrt(mp.mpf("1.7") * q + mp.mpf("0.2"))

    def exact(variance):
        root = mp.sqrt(variance)
        return mp.quad(lambda g: function(root * g) ** 2 * mp.npdf(g), [-12, -4, 0, 4, 12])

    assert length_step(recursion, q) == pytest.approx(float(exact(std**2)), rel=1e-12)
    with mp.workdps(25):
        slope = mp.mpf("1.7") * mp.diff(exact, std**2)
    assert length_multiplier(recursion, q) == pytest.approx(float(slope), rel=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "relu", leaky_relu(0.2), jax.nn.relu6])
def test_overlap_map_against_a_plain_sum(activation):
    from deepinit.core.activations import as_activation, from_function

    phi = (
        from_function(activation, kinks=(0.0, 6.0))
        if activation is jax.nn.relu6
        else as_activation(activation)
    )
    recursion, q, p = Recursion(phi, 1.3, 0.2), 0.8, -0.3
    total, covariance = 1.3 * q + 0.2, 1.3 * p + 0.2
    g = np.linspace(-9.0, 9.0, 1801)
    weights = np.exp(-0.5 * g**2) * (g[1] - g[0]) / math.sqrt(2.0 * math.pi)
    u = math.sqrt(total) * g[:, None]
    v = covariance / total * u + math.sqrt(total - covariance**2 / total) * g
    plain = float(weights @ (np.asarray(phi(u)) * np.asarray(phi(v))) @ weights)
    assert overlap_step(recursion, q, p) == pytest.approx(plain, abs=2e-5)


@pytest.mark.slow
def test_stationary_fluctuations_of_the_length():
    # scalar chain of widths 256, 20 000 networks: the error of the variance is 1 %
    rng, width, networks = np.random.default_rng(4), 256, 20_000
    found = mean_field_cutoff("tanh", 2.25, width, mean_square=0.05)
    q = np.full(networks, found.fixed_point)
    for _ in range(9):
        q = np.mean(
            np.tanh(1.5 * np.sqrt(q)[:, None] * rng.standard_normal((networks, width), np.float32))
            ** 2,
            axis=1,
        )
    assert width * q.var() == pytest.approx(found.spread**2, rel=0.05)
    one_layer = found.spread**2 * (1.0 - found.multiplier**2)
    assert width * q.var() > 1.2 * one_layer


@pytest.mark.slow
def test_stationary_fluctuations_of_the_overlap_given_the_lengths():
    # c* other than 0, where the overlap depends on the lengths; 6000 networks: the error is 2 %
    rng, width, networks, weight_var, bias_var = np.random.default_rng(6), 128, 6000, 4.0, 0.09
    found = mean_field_cutoff("tanh", weight_var, width, bias_var=bias_var, cosine=0.9)
    limit = mean_field("tanh", weight_var, bias_var)
    assert 0.1 < limit.cosine < 0.5
    a = np.full(networks, limit.mean_square)
    b, p = a.copy(), a * limit.cosine
    for _ in range(22):
        g, h = rng.standard_normal((2, networks, width), np.float32)
        uu, vv, uv = (weight_var * moment + bias_var for moment in (a, b, p))
        u = np.sqrt(uu)[:, None] * g
        v = (uv / np.sqrt(uu))[:, None] * g + np.sqrt(vv - uv**2 / uu)[:, None] * h
        x, y = np.tanh(u), np.tanh(v)
        a, b, p = (np.mean(product, axis=1) for product in (x * x, y * y, x * y))
    covariance = width * np.cov([a, b, p])
    assert np.linalg.inv(covariance)[2, 2] ** -1.0 == pytest.approx(found.spread**2, rel=0.1)
    assert covariance[2, 2] > 3.0 * found.spread**2 * (
        1.0 - found.multiplier**2
    )  # the rival of one layer's noise


def test_koenigs_amplitude_of_solvable_maps():
    # affine: exact. m x / (1 + x) has x_t = m^t x_0 / (1 + x_0 (1 - m^t) / (1 - m))
    assert koenigs_amplitude(lambda x: 0.3 * x + 0.7, 5.0, 1.0, 0.3) == pytest.approx(4.0, rel=1e-9)
    m, start = 0.8, 2.0
    exact = start / (1.0 + start / (1.0 - m))
    assert koenigs_amplitude(lambda x: m * x / (1.0 + x), start, 0.0, m) == pytest.approx(
        exact, rel=1e-8
    )
    assert koenigs_amplitude(lambda x: -0.5 * x, 1.0, 0.0, -0.5) == pytest.approx(1.0)
    # relu with biases is affine too
    found = mean_field_cutoff("relu", 1.5, 100, bias_var=0.1, mean_square=2.0)
    assert (found.fixed_point, found.multiplier, found.amplitude) == pytest.approx(
        (0.2, 0.75, 1.8), rel=1e-9
    )


@pytest.mark.parametrize(
    "call",
    [
        lambda: mean_field("tanh", 0.0),
        lambda: mean_field("tanh", -1.0),
        lambda: mean_field("tanh", 1.0, -0.1),
        lambda: mean_field("tanh", 2.0, mean_square=0.0),
        lambda: mean_field("relu", 2.5),  # explodes
        lambda: mean_field("relu", 2.0),  # critical: every length is a fixed point
        lambda: mean_field("no such", 1.0),
        lambda: mean_field_cutoff("tanh", 0.5, 64),  # dies out
        lambda: mean_field_cutoff("tanh", 2.25, 0),
        lambda: mean_field_cutoff("tanh", 2.25, 64, cosine=1.0),
        lambda: mean_field_cutoff("tanh", 2.25, 64, layers=[-1]),
        lambda: mean_field_cutoff("tanh", 0.81, 64, bias_var=0.09, cosine=0.5),  # ordered
        lambda: ordered_cutoff("tanh", 2.25, 64, 5.0),  # chaotic
        lambda: ordered_cutoff("tanh", 0.81, 64, 0.0, bias_var=0.09),
        lambda: ordered_cutoff("tanh", 0.81, 0, 1.0, bias_var=0.09),
        lambda: koenigs_amplitude(lambda x: x, 1.0, 0.0, 1.0),
        lambda: koenigs_amplitude(lambda x: 0.5 * x, 0.0, 0.0, 0.5),
        lambda: koenigs_amplitude(lambda x: x + 1.0, 1.0, 0.0, 0.5, most_steps=50),
    ],
)
@pytest.mark.slow_cases("<lambda>5")
def test_bad_input_is_refused(call):
    with pytest.raises(SpecError):
        call()


def test_coefficients_of_the_drift_of_two_inputs():
    at_64, at_9999 = (
        ordered_cutoff("tanh", 0.81, width, 6.9, bias_var=0.09) for width in (64, 9999)
    )
    assert at_64.drift == pytest.approx(at_64.drift_limit + at_64.drift_coefficient / 64, rel=1e-12)
    assert at_64.variance == pytest.approx(at_64.variance_coefficient / 64, rel=1e-12)
    assert at_64[-3:] == at_9999[-3:]
    assert abs(-at_64.drift - 0.2661) < 5 * 0.0006  # simulated drift and its standard error
    assert abs(-at_64.drift_limit - 0.2661) > 5 * 0.0006  # the rival
    assert 0.6 < at_64.variance_coefficient < 0.7  # the table of the dossier


@pytest.mark.parametrize(
    ("activation", "gain2", "coefficient"), [("linear", 0.5, 0.5), ("relu", 1.0, 1.25)]
)
def test_coefficients_without_biases_are_those_of_the_exact_walk(activation, gain2, coefficient):
    found = ordered_cutoff(activation, gain2, 4000, 5.0)
    assert (found.drift_coefficient, found.variance_coefficient) == pytest.approx(
        (-coefficient, coefficient)
    )
    assert (found.drift - found.drift_limit) * 4000 == pytest.approx(-coefficient, rel=1e-3)
    assert found.variance * 4000 == pytest.approx(coefficient, rel=1e-3)
