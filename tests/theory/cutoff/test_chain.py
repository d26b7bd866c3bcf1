import jax
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import ndtr
from scipy.stats import norm

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.core.laws import normal, orthogonal, uniform
from deepinit.theory.cutoff import first_passage_profile, poisson_survival, scalar_survival, summary

SYMMETRIC_UNIT = uniform(1.0 / 3.0)  # U(-1, 1)

OFFSET = {"truncate": 0.0, "nearest": 0.5}


def survival_by_matrix(probability_between, levels, rho, depth, x0):
    """Every entry of the transition matrix by itself: P(level j <= |x'|) from each state."""
    states = rho * np.arange(1, len(levels) + 1)
    beyond = np.array([[probability_between(x, level) for level in levels] for x in states])
    matrix = beyond - np.append(beyond[:, 1:], np.zeros((len(states), 1)), axis=1)
    law = np.array([probability_between(x0, level) for level in levels])
    law = law - np.append(law[1:], 0.0)
    curve = [1.0]
    for _ in range(depth):
        curve.append(law.sum())
        law = law @ matrix
    return np.array(curve)


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
@pytest.mark.parametrize(
    ("law", "cdf"), [(uniform(1.5**2 / 3), "uniform"), (normal(1.2**2), "normal")]
)
def test_tanh_against_its_transition_matrix(rounding, law, cdf):
    rho, scale = 0.04, {"uniform": 1.5, "normal": 1.2}[cdf]

    def outside(x, level):
        u = np.arctanh(level) / x if level < 1.0 else np.inf
        return max(0.0, 1.0 - u / scale) if cdf == "uniform" else 2.0 * norm.sf(u / scale)

    levels = [level for k in range(1, 30) if (level := (k - OFFSET[rounding]) * rho) < 1.0]
    exact = survival_by_matrix(outside, levels, rho, 12, 0.7)
    result = scalar_survival("tanh", law, rho, rounding, 12, x0=-0.7)
    np.testing.assert_allclose(result.survival, exact, atol=1e-13, rtol=0)
    assert result.escaped[-1] == 0.0


@pytest.mark.parametrize("rounding", ["truncate", "nearest"])
@pytest.mark.slow_cases("nearest")
def test_silu_falls_again_on_the_left(rounding):
    # levels below the minimum -0.278 are reached between two points left of 0; normal weights
    def silu(u):
        return u / (1.0 + np.exp(-u))

    bottom = -1.2784645427610738

    rho, depth = 0.2, 8
    levels = [(k - OFFSET[rounding]) * rho for k in range(1, 151)]
    ends = {}
    for level in levels:
        right = brentq(lambda u, level=level: silu(u) - level, 0.0, 60.0)
        near = far = -np.inf
        if level < -silu(bottom):
            near = brentq(lambda u, level=level: silu(u) + level, bottom, 0.0)
            far = brentq(lambda u, level=level: silu(u) + level, -700.0, bottom)
        ends[level] = (right, near, far)

    def outside(x, level):
        right, near, far = ends[level]
        return ndtr(-right / x) + ndtr(near / x) - ndtr(far / x)

    exact = survival_by_matrix(outside, levels, rho, depth, 1.0)
    result = scalar_survival("silu", normal(1.0), rho, rounding, depth, largest=30.0)
    np.testing.assert_allclose(result.survival, exact, atol=1e-12, rtol=0)
    # a rival without the fall: |silu| taken as monotone left of 0 loses several percent
    assert (
        np.abs(
            result.survival - scalar_survival("relu", normal(1.0), rho, rounding, depth).survival
        ).max()
        > 0.05
    )


def test_published_curve_of_tanh():
    # from the vector graphics of arXiv:2104.10727, figure 2, computed exactly to these digits
    exact = [
        1,
        0.9990,
        0.9914,
        0.9631,
        0.8960,
        0.7797,
        0.6233,
        0.4525,
        0.2970,
        0.1760,
        0.0944,
        0.0459,
        0.0203,
    ]
    curve = scalar_survival("tanh", SYMMETRIC_UNIT, 1e-3, "truncate", 12).survival
    np.testing.assert_allclose(curve, exact, atol=6e-5)
    # rivals: another rounding, another start
    for rival in (
        scalar_survival("tanh", SYMMETRIC_UNIT, 1e-3, "nearest", 12),
        scalar_survival("tanh", SYMMETRIC_UNIT, 1e-3, "truncate", 12, x0=0.9),
    ):
        assert np.abs(rival.survival - exact).max() > 0.01


@pytest.mark.parametrize(
    ("rho", "t_mix", "t50", "window", "ratio", "nearest_t_mix"),
    [
        (1e-2, 6, 4.455, 2.469, 0.554, 8),
        (1e-3, 9, 6.722, 3.198, 0.476, 11),
        (1e-4, 11, 9.012, 3.769, 0.418, 13),
        (1e-5, 14, 11.3126, 4.3145, 0.3814, 16),
        pytest.param(1e-6, 17, 13.609, 4.758, 0.350, 18, marks=pytest.mark.slow),
    ],
)
@pytest.mark.exhaustive_cases("1e-06-17-13.609-4.758-0.35-18")
def test_vanishing_mesh(rho, t_mix, t50, window, ratio, nearest_t_mix):
    result = summary(scalar_survival("tanh", SYMMETRIC_UNIT, rho, "truncate", 35).survival)
    assert result.t_mix == t_mix
    np.testing.assert_allclose(
        (result.t50, result.window, result.ratio), (t50, window, ratio), atol=6e-4
    )
    assert (
        summary(scalar_survival("tanh", SYMMETRIC_UNIT, rho, "nearest", 35).survival).t_mix
        == nearest_t_mix
    )


@pytest.mark.parametrize(
    ("activation", "law", "rounding", "t_mix"),
    [
        ("silu", normal(1.0), "truncate", 7),
        ("silu", SYMMETRIC_UNIT, "truncate", 5),
        ("tanh", uniform(1.0), "truncate", 18),
        ("tanh", uniform(1.0), "nearest", 23),
        ("tanh", normal(1.0), "truncate", 14),
        ("tanh", normal(1.0 / 3.0), "truncate", 8),
    ],
)
@pytest.mark.slow_cases("silu-law0-truncate-7")
def test_mixing_times_at_three_decimals(activation, law, rounding, t_mix):
    assert (
        summary(scalar_survival(activation, law, 1e-3, rounding, 30, largest=30.0).survival).t_mix
        == t_mix
    )


def test_relu_dies_by_sign_without_a_plateau():
    result = summary(scalar_survival("relu", SYMMETRIC_UNIT, 1e-3, "truncate", 15).survival)
    np.testing.assert_allclose((result.t50, result.ratio), (1.00, 1.49), atol=6e-3)


@pytest.mark.parametrize("law", [SYMMETRIC_UNIT, normal(1.0 / 3.0)])
def test_a_user_function_goes_the_way_of_the_builtin(law):
    jax_tanh = scalar_survival(jax.numpy.tanh, law, 1e-2, "nearest", 10).survival
    np.testing.assert_allclose(
        jax_tanh, scalar_survival("tanh", law, 1e-2, "nearest", 10).survival, atol=1e-12
    )


@pytest.mark.parametrize("activation", ["linear", "absolute", leaky_relu(-1.0)])
def test_the_sign_of_a_slope_changes_nothing(activation):
    result = scalar_survival(activation, SYMMETRIC_UNIT, 1e-3, "truncate", 12)
    linear = scalar_survival("linear", SYMMETRIC_UNIT, 1e-3, "truncate", 12)
    np.testing.assert_allclose(result.survival, linear.survival, atol=1e-13)


@pytest.mark.parametrize(("law", "seed"), [(SYMMETRIC_UNIT, 1), (normal(0.5), 2)])
def test_simulated_chains_survive_as_often(law, seed):
    # 2e5 paths resolve 5 sqrt(.25/2e5) = 0.0056
    rng, rho, paths = np.random.default_rng(seed), 1e-2, 200_000
    std = np.sqrt(law.variance)
    curve = scalar_survival("gelu", law, rho, "truncate", 8, x0=2.0, largest=100.0).survival
    rival = scalar_survival("gelu", law, rho, "nearest", 8, x0=2.0, largest=100.0).survival
    x, worst_rival = np.full(paths, 2.0), 0.0
    for t in range(1, 9):
        w = (
            rng.uniform(-1.0, 1.0, paths) * np.sqrt(3.0) * std
            if law.name == "uniform"
            else std * rng.normal(size=paths)
        )
        u = w * x
        x = rho * np.trunc(u * norm.cdf(u) / rho)
        alive = np.mean(x != 0.0)
        error = np.sqrt(curve[t] * (1.0 - curve[t]) / paths) + 1e-9
        assert abs(alive - curve[t]) < 5.0 * error
        worst_rival = max(worst_rival, abs(alive - rival[t]) / error)
    assert worst_rival > 20.0


def test_linear_chain_lies_within_a_layer_of_the_poisson_law():
    # truncation loses at most a mesh per layer: S is below the unrounded law, above it a mesh later
    length, layers = np.log(1e5), np.arange(31)
    poisson = poisson_survival(length, layers)
    truncated = scalar_survival("linear", SYMMETRIC_UNIT, 1e-5, "truncate", 30).survival
    assert (truncated <= poisson + 1e-12).all()
    profile = first_passage_profile(length, -1.0, 1.0)
    assert profile.window == pytest.approx(1.349 * np.sqrt(length), rel=1e-4)
    assert abs(summary(truncated).t50 - summary(poisson).t50) < 0.6
    assert abs(summary(truncated).window / profile.window - 1.0) < 0.15


def test_signals_that_escape_are_counted():
    short = scalar_survival("linear", normal(1.0), 1e-2, "truncate", 10, largest=5.0)
    wide = scalar_survival("linear", normal(1.0), 1e-2, "truncate", 10, largest=500.0)
    assert 0.0 < wide.escaped[-1] < short.escaped[-1] < 1.0
    difference = wide.survival - short.survival
    assert (difference >= -1e-12).all()
    assert (difference <= short.escaped + 1e-12).all()
    assert difference.max() > 1e-4


def test_mesh_that_no_signal_reaches():
    np.testing.assert_array_equal(
        scalar_survival("tanh", uniform(1e-4), 0.9, "truncate", 3).survival, [1.0, 0.0, 0.0, 0.0]
    )
    np.testing.assert_array_equal(
        scalar_survival("tanh", normal(1.0), 0.1, "nearest", 0).survival, [1.0]
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_finest_mesh_with_normal_weights():
    result = scalar_survival("tanh", normal(1.0 / 3.0), 1e-6, "truncate", 24)
    direct = scalar_survival("tanh", normal(1.0 / 3.0), 1e-3, "truncate", 24)
    # L doubles: ratio * sqrt(L) goes up towards 1.349 sigma / sqrt(gamma)
    scaled = [
        summary(s).ratio * np.sqrt(np.log(1 / r))
        for s, r in ((direct.survival, 1e-3), (result.survival, 1e-6))
    ]
    limit = 1.34898 * 1.23370**0.5 / (0.63518 + 0.5 * np.log(3.0)) ** 0.5
    assert scaled[0] < scaled[1] < limit


@pytest.mark.parametrize(
    "change",
    [
        {"rho": 0.0},
        {"rho": 1.0},
        {"rho": -1e-3},
        {"rho": "1e-3"},
        {"rounding": "up"},
        {"rounding": None},
        {"depth": -1},
        {"depth": 2.5},
        {"x0": 0.0},
        {"x0": np.inf},
        {"largest": 0.0},
        {"largest": 1e-6},
        {"largest": 1e9},
        {"weight_law": orthogonal()},
        {"weight_law": uniform(0.0)},
        {"weight_law": "uniform"},
        {"activation": "sigmoid"},
        {"activation": "softplus"},
        {"activation": "no such"},
        {"activation": "sin", "weight_law": normal(1.0)},
        {"activation": jax.numpy.log1p},  # not a number below -1
    ],
)
def test_bad_input_is_refused(change):
    arguments = {
        "activation": "linear",
        "weight_law": normal(1.0),
        "rho": 1e-3,
        "rounding": "truncate",
        "depth": 5,
    }
    extra = {key: value for key, value in change.items() if key in ("x0", "largest")}
    arguments.update({key: value for key, value in change.items() if key not in extra})
    with pytest.raises(SpecError):
        scalar_survival(*arguments.values(), **extra)


def test_one_hump_of_the_sine_is_enough_where_signals_are_bounded():
    assert scalar_survival("sin", SYMMETRIC_UNIT, 1e-2, "truncate", 5).survival[5] > 0.3
