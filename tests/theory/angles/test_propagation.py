import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import ndtr
from statistical import assert_value

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.angles import (
    THEORIES,
    approximation_1,
    density_grid,
    log_sin2_mean,
    log_sin2_propagation,
    log_sin2_variance,
    rho,
    small_angle_log_sin2_moments,
)

WALKS = ("approximation", "paper", "first_order", "second_order", "hybrid")
# n, theta_0, L: simulated last layer (mean, standard error, sd); (mean, sd) of 2e5 sampled walks
TABLE = [
    (16, 0.5, 12, (-4.293, 0.011, 2.342),
     dict(zip(WALKS, ((-6.800, 1.735), (-6.683, 1.896), (-3.851, 1.936),
                      (-4.155, 2.184), (-4.364, 2.358)), strict=True))),
    (40, 0.3, 16, (-4.121, 0.006, 1.550),
     dict(zip(WALKS, ((-4.770, 1.402), (-4.749, 1.390), (-4.048, 1.462),
                      (-4.118, 1.534), (-4.130, 1.547)), strict=True))),
    (128, 0.1, 40, (-5.949, 0.010, 1.384),
     dict(zip(WALKS, ((-6.123, 1.330), (-6.128, 1.319), (-5.933, 1.354),
                      (-5.952, 1.375), (-5.952, 1.376)), strict=True))),
    (256, 0.1, 31, (-5.4228, 0.0043, 0.8656),
     dict(zip(WALKS, ((-5.4577, 0.8534), (-5.4618, 0.8435), (-5.4224, 0.8578),
                      (-5.4260, 0.8644), (-5.4261, 0.8646)), strict=True))),
    (512, 0.1, 60, (-5.809, 0.014, 0.795),
     dict(zip(WALKS, ((-5.837, 0.788), (-5.842, 0.780), (-5.824, 0.787),
                      (-5.826, 0.790), (-5.826, 0.790)), strict=True))),
]  # fmt: skip


@pytest.mark.parametrize("row", TABLE, ids=lambda row: str(row[0]))
@pytest.mark.slow_cases("16", "40")
def test_published_table_of_walks(row):
    n, theta0, depth, (truth, truth_error, truth_sd), forms = row
    walks = {form: log_sin2_propagation(theta0, (n,) * depth, form) for form in (*forms, "tapered")}
    for form, (mean, sd) in forms.items():
        walk = walks[form]
        # 2e5 paths: standard errors sd / 447 of the mean and, at these kurtoses, sd / 600 of the sd
        assert abs(walk.mean[-1] - mean) < 5 * sd / 447 + 5e-4, form
        assert abs(math.sqrt(walk.variance[-1]) - sd) < 5 * sd / 600 + 5e-4, form
    # the rival: without fluctuations (at width 512 it is within the error of the published mean)
    wide = log_sin2_propagation(theta0, (10**6,) * depth).mean[-1]
    for form in ("tapered", "second_order") if n >= 40 else ("tapered",):
        assert_value(truth, truth_error, walks[form].mean[-1], rejects=wide)
    assert math.sqrt(walks["tapered"].variance[-1]) == pytest.approx(truth_sd, rel=0.02)
    if n <= 128:
        assert abs(walks["approximation"].mean[-1] - truth) > 15 * truth_error
    assert walks["approximation"].mean[-1] < approximation_1(theta0, (n,) * depth)[-1]  # Jensen


def test_orthogonal_inputs_through_narrow_networks():
    # simulated means and sds; iterating the paper's mean gives -0.313, -3.437, -6.154, -13.434
    for n, depth, mean, sd in (
        (85, 2, -0.307, 0.137),
        (30, 15, -2.722, 1.348),
        (50, 50, -5.344, 2.000),
        (15, 30, -7.175, 3.715),
    ):
        walk = log_sin2_propagation(math.pi / 2, (n,) * depth, "tapered")
        assert walk.mean[-1] == pytest.approx(mean, rel=0.02)
        assert math.sqrt(walk.variance[-1]) == pytest.approx(sd, rel=0.02)


def simulated_walk(theta0, widths, form, num_paths, seed):
    """The same walk by random numbers, its one-layer moments interpolated in sqrt(-X)."""
    rng = np.random.default_rng(seed)
    root = np.linspace(0.0, 8.0, 4001)
    angles = np.arcsin(np.exp(-0.5 * root**2))
    moments = lambda theta, n: (log_sin2_mean(theta, n, form), log_sin2_variance(theta, n, form))
    mean, variance = moments(theta0, widths[0])
    x = np.minimum(mean + np.sqrt(variance) * rng.standard_normal(num_paths), 0.0)
    rows = [(x.mean(), x.std(), np.mean(x == 0.0))]
    for n in widths[1:]:
        mean, variance = (np.interp(np.sqrt(-x), root, values) for values in moments(angles, n))
        x = np.minimum(mean + np.sqrt(variance) * rng.standard_normal(num_paths), 0.0)
        rows.append((x.mean(), x.std(), np.mean(x == 0.0)))
    return np.array(rows), x


@pytest.mark.parametrize(
    ("theta0", "widths", "form"),
    [
        (math.pi / 2, (64,) * 5, "second_order"),
        (2.5, (64, 8, 500, 20), "tapered"),
        (3.1, (16,) * 4, "second_order"),
        (1.0, (10, 100_000, 10), "first_order"),
    ],
)
@pytest.mark.slow_cases("1.5707963267948966-widths0-second_order", "2.5-widths1-tapered")
@pytest.mark.exhaustive_cases("1.0-widths3-first_order")
def test_density_solves_the_walk(theta0, widths, form):
    walk = log_sin2_propagation(theta0, widths, form)
    num_paths = 200_000
    sampled, last = simulated_walk(theta0, widths, form, num_paths, seed=3)
    error = sampled[:, 1] / math.sqrt(num_paths) + 1e-12
    # Resolves 0.2 % of a standard deviation; the paper's walk, a rival, is further off at the end.
    rival = log_sin2_propagation(theta0, widths, "paper")
    assert_value(sampled[1:, 0], error[1:], walk.mean[1:], rejects=rival.mean[1:])
    assert_value(sampled[-1, 0], error[-1], walk.mean[-1], rejects=rival.mean[-1])
    assert np.all(np.abs(np.sqrt(walk.variance) - sampled[:, 1])[1:] < 5 * error[1:] * 2)
    # the distribution: cumulative mass at inner grid points (without the half cell at 0)
    masses = walk.density[-1] * density_grid.cells(walk.grid)
    cumulative = np.cumsum(masses) - 0.5 * masses
    empirical = np.searchsorted(np.sort(last), walk.grid[:-1]) / num_paths
    assert np.max(np.abs(cumulative[:-1] - empirical)) < 1.95 / math.sqrt(num_paths) + 1e-3


@pytest.mark.slow
def test_first_layer_is_the_one_layer_law():
    for theta0 in (0.1, 1.0, 2.0, math.pi):
        walk = log_sin2_propagation(theta0, (200, 200))
        assert walk.mean[0] == walk.closure_mean[0] == log_sin2_mean(theta0, 200)
        assert walk.variance[0] == walk.closure_variance[0] == log_sin2_variance(theta0, 200)


@pytest.mark.parametrize(
    ("form", "n"), [("second_order", 50), ("tapered", 12), ("paper", 20), ("hybrid", 8)]
)
@pytest.mark.exhaustive_cases("hybrid-8", "second_order-50", "tapered-12")
def test_closure_step_against_adaptive_quadrature(form, n):
    mu = lambda x: float(log_sin2_mean(math.asin(math.exp(0.5 * x)), n, form))
    sigma2 = lambda x: float(log_sin2_variance(math.asin(math.exp(0.5 * x)), n, form))
    walk = log_sin2_propagation(0.9, (n,) * 4, form)
    for layer in range(3):
        m, sd = walk.closure_mean[layer], math.sqrt(walk.closure_variance[layer])

        def expectation(function, m=m, sd=sd):
            density = lambda x: math.exp(-0.5 * ((x - m) / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
            # x = -t^2: the moments are smooth in t, not in x
            top = math.sqrt(9 * sd - m)
            inside = quad(
                lambda t: 2 * t * function(-t * t) * density(-t * t), 0, top, epsabs=1e-7, limit=100
            )[0]
            return inside + function(0.0) * ndtr(m / sd)

        mean = expectation(mu)
        assert walk.closure_mean[layer + 1] == pytest.approx(mean, abs=1e-4 * sd)
        variance = expectation(lambda x, mean=mean: (mu(x) - mean) ** 2 + sigma2(x))
        assert walk.closure_variance[layer + 1] == pytest.approx(variance, rel=2e-4)
        assert abs(mu(m) - mean) > 1e-3 * sd  # the mean put into the angle


def check_walk(walk, depth):
    assert all(np.isfinite(part).all() for part in walk)
    assert walk.mean.shape == walk.closure_mean.shape == (depth,)
    assert max(walk.mean.max(), walk.closure_mean.max(), walk.grid[-1]) <= 0.0
    assert min(walk.variance.min(), walk.closure_variance.min(), walk.density.min()) >= 0.0
    np.testing.assert_allclose(np.trapezoid(walk.density, walk.grid), 1.0, rtol=0, atol=1e-12)
    # each layer adds less than 60 (largest: the paper's drift of 12 at width 2)
    assert walk.grid[0] > walk.mean.min() - 30 * math.sqrt(walk.variance.max()) - 1.0
    sd = np.sqrt(walk.variance)
    assert np.all(np.abs(walk.closure_mean - walk.mean) < 0.5 * sd + 0.02)


def scan(angles, widths):
    for theta0 in angles:
        for n in widths:
            if form_refuses_pi := theta0 == math.pi:
                with pytest.raises(SpecError, match="below pi"):
                    log_sin2_propagation(theta0, (n,) * 6, "approximation")
            for form in THEORIES if form_refuses_pi else (*THEORIES, "approximation"):
                check_walk(log_sin2_propagation(theta0, (n,) * 6, form), 6)


@pytest.mark.slow
def test_walks_of_every_form_are_finite_from_obtuse_angles():
    scan((2.5, math.pi), (2, 16))
    check_walk(log_sin2_propagation(1.4, (2,) * 4, "hybrid"), 4)
    check_walk(log_sin2_propagation(2.5, (64,) * 32, "hybrid"), 32)


@pytest.mark.slow
@pytest.mark.parametrize("theta0", [1e-6, 0.1, 1.0, math.pi / 2, 2.0, 2.5, 3.0, math.pi])
@pytest.mark.exhaustive
def test_walks_of_every_form_are_finite(theta0):
    scan((theta0,), (2, 3, 8, 16, 64, 256))


def test_walk_answers_in_the_arrays_it_is_given_and_runs_on_the_host():
    walk = log_sin2_propagation(0.5, (16,) * 3)
    in_jax = log_sin2_propagation(jnp.float32(0.5), (16,) * 3)
    for part, single in zip(walk, in_jax, strict=True):
        assert isinstance(part, np.ndarray)
        assert isinstance(single, jax.Array)
        assert single.dtype == jnp.float32
        np.testing.assert_allclose(single, part, rtol=1e-6)
    assert log_sin2_propagation(np.float32(math.pi), (16,)).mean.shape == (1,)
    with pytest.raises(SpecError, match="host function"):
        jax.jit(lambda theta: log_sin2_propagation(theta, (16,)).mean)(0.5)


def test_small_angles_walk_freely():
    # X - X_0 is then a sum of independent steps of the exact small-angle law
    theta0, widths = 1e-9, (8, 16, 64) * 10
    walk = log_sin2_propagation(theta0, widths, "hybrid")
    mean, variance = np.cumsum([small_angle_log_sin2_moments(n) for n in widths], axis=0).T
    np.testing.assert_allclose(walk.mean - 2 * math.log(theta0), mean, rtol=1e-6)
    np.testing.assert_allclose(walk.variance, variance, rtol=1e-6)
    np.testing.assert_allclose(walk.closure_mean - 2 * math.log(theta0), mean, rtol=1e-6)


def test_approximation_2_starts_at_the_given_angle_and_piles_up_at_zero():
    walk = log_sin2_propagation(2.0, (16, 64), "approximation")
    mean, sd = (
        2 * math.log(math.sin(2.0)) - 4 / (3 * math.pi) - float(rho(16)),
        math.sqrt(8 * 16) / 21,
    )
    assert walk.mean[0] == pytest.approx(mean)
    assert walk.variance[0] == pytest.approx(sd**2)
    masses = walk.density[0] * density_grid.cells(walk.grid)
    assert walk.grid[-1] == 0.0
    half_cell = 0.5 * walk.grid[-2]
    assert masses[-1] == pytest.approx(ndtr((mean - half_cell) / sd), rel=0.05)
    k = -mean / sd
    excess = math.exp(-0.5 * k * k) / math.sqrt(2 * math.pi) - k * ndtr(-k)
    assert walk.grid @ masses == pytest.approx(
        mean - sd * excess, abs=1e-10
    )  # the mean of what is clipped at 0
    assert sd * excess > 5e-3


def test_linear_networks_see_obtuse_angles_as_acute():
    acute, obtuse = (
        log_sin2_propagation(theta, (32,) * 4, activation="linear")
        for theta in (0.6, math.pi - 0.6)
    )
    np.testing.assert_allclose(acute.mean, obtuse.mean, rtol=1e-12)
    drift = log_sin2_mean(1e-6, 32, activation="linear") - 2 * math.log(1e-6)
    small = log_sin2_propagation(1e-6, (32,) * 4, activation="linear")
    np.testing.assert_allclose(np.diff(small.mean), drift, rtol=1e-6)


@pytest.mark.parametrize("activation", [leaky_relu(0.2), "absolute"])
def test_other_homogeneous_activations(activation):
    walk = log_sin2_propagation(1.0, (64,) * 5, activation=activation)
    assert np.all(np.diff(walk.mean) < 0)
    np.testing.assert_allclose(walk.closure_mean, walk.mean, rtol=5e-3)
    with pytest.raises(SpecError, match="with ReLU"):
        log_sin2_propagation(1.0, (64,), "approximation", activation=activation)


def test_thousand_layers_of_constant_width():
    walk = log_sin2_propagation(1.0, (256,) * 1000)
    assert walk.density.shape == (1000, len(walk.grid))
    assert len(walk.grid) < 1500
    # far below the angles where infinite width matters, each layer adds the free drift and variance
    drift = log_sin2_mean(1e-6, 256) - 2 * math.log(1e-6)
    assert walk.mean[-1] - walk.mean[-2] == pytest.approx(drift, rel=0.1)
    assert np.trapezoid(walk.density[-1], walk.grid) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0.0, (8,)), "collinear"),
        ((4.0, (8,)), r"angles in \[0, pi\]"),
        (((0.1, 0.2), (8,)), "one angle"),
        ((1.0, ()), "one whole number per layer"),
        ((1.0, 8), "one whole number per layer"),
        ((1.0, (8, 0)), "whole numbers >= 1"),
        ((1.0, (8, 1), "hybrid"), "whole numbers >= 2"),
        ((1.0, (8,), "exact"), "approximation"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        log_sin2_propagation(*arguments)


def test_activations_whose_angle_is_no_chain_are_refused():
    with pytest.raises(SpecError, match="homogeneous"):
        log_sin2_propagation(1.0, (8,), activation="tanh")
    with pytest.raises(SpecError, match="obtuse"):
        log_sin2_propagation(2.5, (8,), activation=leaky_relu(0.9))
    with pytest.raises(SpecError, match="collinear"):
        log_sin2_propagation(math.pi, (8,), activation="linear")
