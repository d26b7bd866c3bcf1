import math

import jax
import mpmath as mp
import numpy as np
import pytest
from scipy.stats import norm

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff import koenigs_amplitude, mean_field, mean_field_cutoff, ordered_cutoff
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
    result = mean_field_cutoff("tanh", 1.5**2, width, mean_square=0.05, layers=[0.0, 3.0])
    assert result.fixed_point == pytest.approx(0.3526018, abs=6e-8)
    assert result.multiplier == pytest.approx(0.5046778, abs=6e-8)
    assert result.amplitude == pytest.approx(-1.63597, abs=6e-6)
    assert result.spread == pytest.approx(0.34213, abs=6e-6)
    assert result.t50 == pytest.approx(t50, abs=6e-3)
    distance = 1.63597 * 0.5046778**3 * math.sqrt(width) / 0.34213
    assert result.total_variation[1] == pytest.approx(
        2.0 * norm.cdf(distance / 2.0) - 1.0, abs=1e-4
    )


@pytest.mark.parametrize(
    ("gain", "scale", "multiplier", "amplitude", "t50"),
    [
        (1.5, 17.05, 0.94303, 1.9085, (22.6, 34.4, 46.2)),
        (2.5, 5.672, None, 1.7104, (9.70, 13.63, 17.56)),
    ],
)
@pytest.mark.slow_cases("2.5-5.672-None-1.7104-t501")
def test_two_inputs_of_tanh(gain, scale, multiplier, amplitude, t50):
    result = [mean_field_cutoff("tanh", gain**2, width, cosine=0.9) for width in (64, 256, 1024)]
    limit = mean_field("tanh", gain**2)
    assert limit.cosine == 0.0
    assert result[0].depth_scale == pytest.approx(scale, rel=3e-4)
    assert result[0].multiplier == pytest.approx(multiplier or math.exp(-1.0 / scale), rel=1e-4)
    assert result[0].amplitude / limit.mean_square == pytest.approx(amplitude, abs=6e-5)
    assert result[0].spread / limit.mean_square == pytest.approx(
        1.0 / math.sqrt(1.0 - result[0].multiplier ** 2)
    )
    assert [each.t50 for each in result] == pytest.approx(t50, abs=0.06)
    # quadrupling the width adds xi log 2 layers
    assert result[1].centre - result[0].centre == pytest.approx(
        result[0].depth_scale * math.log(2.0)
    )


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
    result = ordered_cutoff("tanh", sigma_w**2, width, 1.0, bias_var=0.09)
    assert abs(-result.drift - gamma) < 2.5 * error
    assert abs(0.5 / result.depth_scale - gamma) > 10.0 * error


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
    result = mean_field_cutoff("tanh", 2.25, width, mean_square=0.05)
    q = np.full(networks, result.fixed_point)
    for _ in range(9):
        q = np.mean(
            np.tanh(1.5 * np.sqrt(q)[:, None] * rng.standard_normal((networks, width), np.float32))
            ** 2,
            axis=1,
        )
    assert width * q.var() == pytest.approx(result.spread**2, rel=0.05)
    one_layer = result.spread**2 * (1.0 - result.multiplier**2)
    assert width * q.var() > 1.2 * one_layer


@pytest.mark.slow
def test_stationary_fluctuations_of_the_overlap_given_the_lengths():
    # c* other than 0, where the overlap depends on the lengths; 6000 networks: the error is 2 %
    rng, width, networks, weight_var, bias_var = np.random.default_rng(6), 128, 6000, 4.0, 0.09
    result = mean_field_cutoff("tanh", weight_var, width, bias_var=bias_var, cosine=0.9)
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
    assert np.linalg.inv(covariance)[2, 2] ** -1.0 == pytest.approx(result.spread**2, rel=0.1)
    assert covariance[2, 2] > 3.0 * result.spread**2 * (
        1.0 - result.multiplier**2
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
    result = mean_field_cutoff("relu", 1.5, 100, bias_var=0.1, mean_square=2.0)
    assert (result.fixed_point, result.multiplier, result.amplitude) == pytest.approx(
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
