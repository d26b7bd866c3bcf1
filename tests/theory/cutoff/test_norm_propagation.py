import math

import mpmath as mp
import numpy as np
import pytest
from scipy import stats
from statistical import assert_mean, assert_value, assert_variance

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff import (
    critical_gain,
    first_passage_profile,
    log_norm_drift,
    poisson_survival,
    stationary_tail_exponent,
    summary,
)


@pytest.mark.parametrize(
    ("width", "linear", "relu", "death"),
    [
        (1, (-0.63518, 1.23370), (-0.28861, 1.23370), 0.5),
        (2, (-0.28861, 0.41123), (-0.40413, 1.06631), 0.25),
        (4, (-0.13518, 0.16123), (-0.35829, 0.73159), 0.0625),
        (16, (-0.031900, 0.033284), (-0.088199, 0.104898), 2.0**-16),
        (64, (-0.007853, 0.007936), (-0.020054, 0.020749), 2.0**-64),
        (256, (-0.001956, 0.001961), (-0.004914, 0.004955), 2.0**-256),
    ],
)
def test_tables_of_drifts(width, linear, relu, death):
    assert log_norm_drift("linear", width, 1.0) == pytest.approx(
        (*linear, 0.0), abs=6e-6 if width < 16 else 6e-7
    )
    assert log_norm_drift("relu", width, 2.0)[:2] == pytest.approx(
        relu, abs=6e-6 if width < 16 else 6e-7
    )
    assert log_norm_drift("relu", width, 2.0).death_probability == death


@pytest.mark.parametrize("width", [1, 2, 5, 8])
@pytest.mark.parametrize(
    ("activation", "left"), [(leaky_relu(0.3), 0.3), ("linear", 1.0), ("absolute", -1.0)]
)
def test_drift_by_the_laplace_transform_of_the_squared_norm(width, activation, left):
    # log X = int (e^-s - e^-sX) ds / s, s = e^u,
    # log^2 X = -2 int (log s + gamma_E) (e^-s - e^-sX) ds / s
    with mp.workdps(25):

        def gap(u):
            s = mp.exp(u)
            one = (mp.sqrt(1 / (1 + 2 * s)) + mp.sqrt(1 / (1 + 2 * left**2 * s))) / 2
            return mp.exp(-s) - one**width

        edges = [-60, -20, -5, 0, 2, 5, 20, 60, 160]
        mean = mp.quad(gap, edges)
        square = -2 * mp.quad(lambda u: (u + mp.euler) * gap(u), edges)
    result = log_norm_drift(activation, width, 1.7)
    assert result.drift == pytest.approx(float(mean + mp.log(mp.mpf("1.7") / width)) / 2, abs=1e-12)
    assert result.variance == pytest.approx(float(square - mean**2) / 4, abs=1e-12)


@pytest.mark.parametrize(
    ("activation", "slopes"),
    [("relu", (0.0, 1.0)), (leaky_relu(0.2), (0.2, 1.0)), ("silu", (0.5, 0.5))],
)
@pytest.mark.parametrize("width", [1, 3, 8])
def test_drift_of_sampled_layers(activation, slopes, width):
    rng, paths = np.random.default_rng(7 + width), 200_000
    u = rng.normal(0.0, math.sqrt(1.3 / width), (paths, width))
    squares = np.sum(np.where(u > 0.0, slopes[1] * u, slopes[0] * u) ** 2, axis=1)
    alive = squares > 0.0
    logs = 0.5 * np.log(squares[alive])
    predicted = log_norm_drift(activation, width, 1.3)
    error = logs.std() / math.sqrt(alive.sum())
    # the rival without the finite width: log sqrt(E |x'|^2 / |x|^2)
    wide = 0.5 * math.log(1.3 * (slopes[0] ** 2 + slopes[1] ** 2) / 2.0)
    assert_mean(logs, predicted.drift, rejects=wide)
    assert abs(logs.mean() - wide) > 20.0 * error
    # the rival: a tenth more of the variance
    assert_variance(logs, predicted.variance, rejects=1.1 * predicted.variance, resolves=0.1)
    p = predicted.death_probability
    assert abs(np.mean(~alive) - p) <= 5.0 * math.sqrt(p * (1.0 - p) / paths)


def test_small_signals_see_the_slopes_at_zero():
    for activation, slope in (
        ("tanh", 1.0),
        ("erf", 2.0 / math.sqrt(math.pi)),
        ("gelu", 0.5),
        (math_sine, 1.0),
    ):
        result = log_norm_drift(activation, 3, 0.8)
        linear = log_norm_drift("linear", 3, 0.8)
        assert result == pytest.approx(
            (linear.drift + math.log(slope), linear.variance, 0.0), abs=1e-12
        )


def math_sine(x):
    import jax.numpy as jnp

    return jnp.sin(x)


def test_arrays_of_widths():
    widths = [[1, 2], [4, 64]]
    result = log_norm_drift("relu", widths, 2.0)
    for index in np.ndindex(2, 2):
        assert [part[index] for part in result] == list(
            log_norm_drift("relu", widths[index[0]][index[1]], 2.0)
        )
    assert critical_gain([1, 2, 4]).shape == (3,)


def test_critical_gains():
    result = critical_gain([1, 2, 4, 16, 64, 256])
    np.testing.assert_allclose(result, [1.8874, 1.3346, 1.1447, 1.0324, 1.0079, 1.0020], atol=6e-5)
    assert log_norm_drift("tanh", 5, critical_gain(5) ** 2).drift == pytest.approx(0.0, abs=1e-14)
    assert log_norm_drift("relu", 5, critical_gain(5, "relu") ** 2).drift == pytest.approx(
        0.0, abs=1e-14
    )


@pytest.mark.parametrize(
    ("gain", "width", "beta"), [(2.5, 1, 0.35701), (1.5, 4, 2.37425), (1.2, 16, 7.39674)]
)
def test_tail_exponents(gain, width, beta):
    result = stationary_tail_exponent(gain, width)
    assert result == pytest.approx(beta, abs=6e-6)
    with mp.workdps(30):
        # E chi_N^-beta by quadrature of its density in log r
        mass = mp.quad(
            lambda x: mp.exp((width - result) * x - mp.exp(2 * x) / 2),
            [-200, -100, -50, -20, -5, 0, 1, 2, 4],
        )
        moment = mass / (mp.mpf(2) ** (mp.mpf(width) / 2 - 1) * mp.gamma(mp.mpf(width) / 2))
        assert abs((gain / mp.sqrt(width)) ** (-result) * moment - 1) < 1e-10


def test_profile_is_normal_about_its_centre():
    profile = first_passage_profile(
        6.9, -0.4, 0.25, [0.0, 17.25, 17.25 + 0.5 * math.sqrt(6.9) * 0.4**-1.5]
    )
    assert profile.centre == pytest.approx(17.25)
    np.testing.assert_allclose(profile.survival[1:], [0.5, stats.norm.cdf(-1.0)], rtol=1e-12)
    assert profile.ratio == pytest.approx(1.3489795 * 0.5 / math.sqrt(0.4 * 6.9), rel=1e-7)
    step = first_passage_profile(2.0, -1.0, 0.0, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(step.survival, [1.0, 0.5, 0.0])


@pytest.mark.parametrize(
    ("width", "weight_var", "centre", "window"),
    [
        (16, 1.0, 15.89, 4.01),
        (64, 1.0, 18.84, 2.30),
        (256, 1.0, 19.65, 1.20),
        (64, 2.0, 344.5, 179.8),
    ],
)
def test_passage_of_relu_networks_below_a_thousandth(width, weight_var, centre, window):
    walk = log_norm_drift("relu", width, weight_var)
    profile = first_passage_profile(math.log(1e3), walk.drift, walk.variance)
    assert profile.centre == pytest.approx(centre, abs=6e-3 if centre < 100 else 0.06)
    assert profile.window == pytest.approx(window, abs=6e-3 if centre < 100 else 0.06)


def test_profile_against_walks_of_sampled_layers():
    # linear chain, width 4, A = 0.7, distance 40: exact factors chi_4 / 2; 1e5 walks resolve 0.008
    rng, width, length, layers = np.random.default_rng(5), 4, 40.0, np.arange(1, 161)
    walk = log_norm_drift("linear", width, 0.49)
    steps = 0.5 * np.log(0.49 / width * rng.chisquare(width, (20_000, 160)))
    alive = np.mean(np.minimum.accumulate(length + np.cumsum(steps, axis=1), axis=1) > 0.0, axis=0)
    profile = first_passage_profile(length, walk.drift, walk.variance, layers)
    error = 1.0 / math.sqrt(
        walk.variance * length / -walk.drift
    )  # one step of the walk, in units of its spread
    assert np.abs(alive - profile.survival).max() < error
    assert (
        np.abs(
            alive - first_passage_profile(length, math.log(0.7), walk.variance, layers).survival
        ).max()
        > 3.0 * error
    )


def test_poisson_law():
    layers = np.arange(25)
    length = math.log(1e3)
    np.testing.assert_allclose(
        poisson_survival(length, layers), stats.poisson.sf(layers - 1, length), rtol=1e-12
    )
    # amplitude below 1, by simulation of 1e5 walks: resolves 0.008
    rng = np.random.default_rng(3)
    walks = length + np.cumsum(np.log(0.8 * rng.uniform(size=(100_000, 10))), axis=1)
    alive = np.mean(np.minimum.accumulate(walks, axis=1) > 0.0, axis=0)
    exact = poisson_survival(length, np.arange(1, 11), amplitude=0.8)
    error = np.sqrt(exact * (1.0 - exact) / 1e5) + 1e-9
    rival = poisson_survival(length, np.arange(1, 11))
    assert_value(alive, error, exact, rejects=rival)
    assert (np.abs(alive - rival) > 20.0 * error).any()


def test_summary_reads_a_polygon():
    result = summary([1.0, 0.9, 0.6, 0.2, 0.0])
    assert result.t_mix == 3
    assert result[1:4] == pytest.approx((1.5, 2.25, 2.875))
    assert result.window == pytest.approx(1.375)
    assert result.ratio == pytest.approx(1.375 / 2.25)
    assert summary([1.0, 1.0, 0.0]).window == pytest.approx(0.5)  # one step: the floor
    assert summary([1.0, 0.25]).t_mix == 1
    assert summary([1.0, 0.25]).t25 == 1.0
    never = summary([1.0, 0.8, 0.6])
    assert never.t_mix is None
    assert math.isnan(never.t50)
    assert math.isnan(never.ratio)
    assert math.isnan(summary([0.6, 0.1]).t75)


@pytest.mark.parametrize(
    "call",
    [
        lambda: log_norm_drift("sigmoid", 4, 1.0),
        lambda: log_norm_drift("x_tanh", 4, 1.0),
        lambda: log_norm_drift("no such", 4, 1.0),
        lambda: log_norm_drift("relu", 0, 1.0),
        lambda: log_norm_drift("relu", 2.5, 1.0),
        lambda: log_norm_drift("relu", 4, 0.0),
        lambda: log_norm_drift("relu", 4, math.inf),
        lambda: critical_gain(0),
        lambda: stationary_tail_exponent(1.0, 4),
        lambda: stationary_tail_exponent(-1.0, 4),
        lambda: stationary_tail_exponent(2.0, 0),
        lambda: first_passage_profile(0.0, -1.0, 1.0),
        lambda: first_passage_profile(1.0, 0.0, 1.0),
        lambda: first_passage_profile(1.0, math.nan, 1.0),
        lambda: first_passage_profile(1.0, -1.0, -1.0),
        lambda: first_passage_profile(1.0, -1.0, 1.0, layers=[-1]),
        lambda: first_passage_profile(1.0, -1.0, 1.0, layers="all"),
        lambda: poisson_survival(-1.0, [1]),
        lambda: poisson_survival(1.0, [1], amplitude=1.5),
        lambda: summary([]),
        lambda: summary([1.0, 1.5]),
        lambda: summary([1.0, math.nan]),
        lambda: summary([[1.0, 0.5]]),
        lambda: summary("S"),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(SpecError):
        call()
