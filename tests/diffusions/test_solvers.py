"""Answers that must not hang on the last bits of a solver, of a factorization or of a sum."""

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.core.explosions import explosion_time, may_explode
from deepinit.core.gaussian import is_odd
from deepinit.core.power_laws import power_laws
from deepinit.core.taylor import taylor_at_zero
from deepinit.diffusions import path_fn
from deepinit.observables.orientations import display_order
from deepinit.random_maps.scaled import Scaled, log_norm
from deepinit.random_maps.scaled_activations import scaled_activation
from deepinit.theory.condensation.gradient_ascent import highest_first
from deepinit.theory.condensation.homogeneous import _merged
from deepinit.theory.diffusion import (
    correlated_moments,
    double_limit,
    explosion_times,
    inner_limit,
    two_layer_limit,
)

ALONE = np.zeros((1, 1), int)


def silu_network(weight_var=1.21, bias_var=0.36, width=10):
    laws = di.normal(weight_var, "depth"), None, di.normal(bias_var, "depth")
    return di.ResNet(width, 8, None, di.silu, *laws, block="shallow")


def random_cases(count):
    """Activation, input, variances, closed-form explosion time; inputs over six decades."""
    rng = np.random.default_rng(0)
    for _ in range(count):
        name = str(rng.choice(["silu", "gelu"]))
        row = rng.standard_normal(int(rng.integers(1, 12))) * 10.0 ** rng.uniform(-3, 3)
        weight_var, bias_var = 10.0 ** rng.uniform(-2, 1, 2)
        bias_var *= rng.random() < 0.8
        (time,) = explosion_times(name, [np.mean(row**2)], weight_var, bias_var, [row.mean()])
        yield name, row, weight_var, bias_var, time


@pytest.mark.exhaustive
def test_a12_a_horizon_far_before_the_explosion_is_answered():
    (time,) = explosion_times("silu", [0.529**2], 1.21, 0.36, [0.529])
    assert time == pytest.approx(3.9, abs=0.01)
    point = 0.529 * np.ones(10)
    for horizon in (0.25, 1.0, 3.0, 0.9999 * time):
        assert np.isfinite(
            path_fn(silu_network(), point, horizon=horizon)(jax.random.key(0)).states[0, 0, 0]
        )
    with pytest.raises(SpecError, match=f"explodes for input 0 at the time {time:.5g}"):
        path_fn(silu_network(), point, horizon=1.0001 * time)


@pytest.mark.slow
def test_a12_every_horizon_before_the_explosion_is_answered_and_none_after_it():
    for name, row, weight_var, bias_var, time in random_cases(25):
        for share in (1e-3, 0.5, 0.999, 1.001, 2.0, 1e3):
            found = explosion_time(
                name, "linear", row[None], ALONE, weight_var, bias_var, share * time
            )
            assert found == (math.inf if share < 1 else pytest.approx(time, rel=1e-5)), (
                name,
                row,
                share,
            )


def test_a12_horizons_at_which_the_root_of_the_event_is_off_by_a_bit():
    # 100 horizons: the event time equals the horizon to rounding, in half the cases below it
    found = [
        explosion_time("silu", "linear", np.full((1, 10), 0.5), ALONE, 1.21, 0.36, horizon)
        for horizon in np.linspace(0.1, 4.0, 100)
    ]
    assert found == [math.inf] * 100


@pytest.mark.parametrize("square", [1e-4, 1.0, 16.0])
def test_the_explosion_with_an_inner_activation_is_an_event(square):
    (time,) = explosion_times("silu", [square], 1.0)
    for share in (0.5, 0.99, 1.0 - 1e-6):
        found, limit = (
            call(share * time)
            for call in (
                lambda horizon: inner_limit("silu", "linear", square, 1.0, 0.0, horizon),
                lambda horizon: double_limit("silu", square, 1.0, 0.0, horizon),
            )
        )
        assert found.covariance == pytest.approx(limit.covariance, rel=1e-10 / (1.0 - share))
    for share in (1.0 + 1e-6, 1.5, 10.0):
        with pytest.raises(SpecError, match=re.escape(f"explodes at the time {time:.6g}")):
            inner_limit("silu", "linear", square, 1.0, 0.0, min(share * time, 300.0))


@pytest.mark.slow
def test_growth_beyond_float64_is_no_explosion():
    steep = di.leaky_relu(5.0)  # E psi^2 = 13 v: e^(13 T)
    assert inner_limit("tanh", steep, 1.0, 1.0, 0.0, 4.0).covariance == pytest.approx(
        math.exp(52.0), rel=1e-8
    )
    with pytest.raises(SpecError, match="grows beyond float64 at the time 23"):
        inner_limit("tanh", steep, 1.0, 1.0, 0.0, 30.0)


@pytest.mark.parametrize("scale", [1e-60, 1e-20, 1e-10, 1.0, 1e30])
def test_units_change_no_digit_of_an_integration(scale):
    gram, row = np.array([[1.0, 0.3], [0.3, 0.6]]), np.array([1.0, 0.5, -0.3])
    inner = inner_limit("tanh", "linear", scale * gram, 1.0, 0.0, 3.0).covariance
    two_layer = two_layer_limit("linear", scale * gram, 1.0, 1.0, 0.0, 3.0)
    second = correlated_moments(
        "tanh", math.sqrt(scale) * row, np.eye(3) / 3.0, np.eye(3), horizon=3.0
    ).second[0, 0]
    for found, start in ((inner, gram), (two_layer, gram), (np.trace(second), row @ row)):
        np.testing.assert_allclose(found / scale, math.exp(3.0) * start, rtol=2e-10)


@pytest.mark.parametrize("order", [0.25, 0.45, 1.0 / 3.0, 0.5, 1.5, 0.2537])
@pytest.mark.parametrize("off", [-1e-15, 0.0, 1e-15])
@pytest.mark.slow_cases("-1e-15-0.25")
def test_a_power_between_two_decimals_is_that_power(order, off):
    power = order * (1.0 + off)
    activation = di.from_function(lambda x: x * (1.0 + jnp.abs(x)) ** (power - 1.0))
    assert power_laws(activation).values.far == pytest.approx((order, order), rel=1e-9)
    if order != 0.2537:  # no fraction of a small denominator
        assert power_laws(activation).values.far == (order, order)
    huge = scaled_activation(activation, Scaled(jnp.ones(1), jnp.int32(3000)))
    assert float(log_norm(huge)) == pytest.approx(3000 * order * math.log(2.0), rel=1e-6)


@pytest.mark.slow
def test_a_logarithm_leaves_one_decimal_of_a_power():
    assert power_laws(di.from_function(lambda x: x * jnp.log1p(x * x))).values.far == (1, 1)
    assert power_laws(di.from_function(lambda x: x * jnp.sin(x))).values.far == (1, 1)
    assert power_laws(di.from_function(jnp.arcsinh)).values.far == (0, 0)


@pytest.mark.parametrize("off", [-1e-9, 0.0, 1e-9])
def test_growth_between_two_decimals_explodes(off):
    assert may_explode("tanh", lambda x: abs(x) ** (1.05 + off))


def test_equal_heights_keep_their_order_whatever_their_last_bits():
    heights = np.array([0.5, -1.0, 1.0, 0.5, 2.0])
    for noise in np.random.default_rng(0).choice([-1e-15, 0.0, 1e-15], (20, 5)):
        assert highest_first(heights * (1.0 + noise)).tolist() == [4, 1, 2, 0, 3]


@pytest.mark.parametrize("noise", [-1e-15, 0.0, 1e-15])
def test_a_kink_at_the_angle_0_is_one_kink(noise):
    kinks = _merged(np.array([noise, 2.0 * np.pi - 1e-15, 1.0]) % (2.0 * np.pi))
    assert len(kinks) == 2


def test_the_order_of_neurons_is_that_of_either_sign_of_an_eigenvector(monkeypatch):
    units = np.random.default_rng(0).choice([1.0, -1.0], (9, 1)) * [[0.6, 0.8]]
    found, eigh = display_order(units @ units.T), np.linalg.eigh
    monkeypatch.setattr(np.linalg, "eigh", lambda matrix: (eigh(matrix)[0], -eigh(matrix)[1]))
    np.testing.assert_array_equal(display_order(units @ units.T), found)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1.0, 1e300])
def test_units_of_a_covariance_decide_nothing(scale):
    for matrix in (
        [[1.0, 0.5], [0.5, 1.0]],
        [[1.0, 1.0], [1.0, 1.0 - 1e-13]],
        [[1.0, 0.5], [0.5 + 1e-12, 1.0]],
    ):
        law = di.matrix_normal(scale * np.array(matrix), np.eye(2))
        np.testing.assert_allclose(law.output_cov, scale * np.array(matrix), rtol=1e-11)
    for matrix, words in (
        ([[1.0, 0.5], [0.6, 1.0]], "symmetric"),
        ([[1.0, 2.0], [2.0, 1.0]], "eigenvalue"),
    ):
        with pytest.raises(SpecError, match=words):
            di.matrix_normal(scale * np.array(matrix), np.eye(2))


@pytest.mark.parametrize("size", [1e-30, 1e-14, 1.0, 1e30])
@pytest.mark.slow_cases("1e-30")
@pytest.mark.exhaustive_cases("1e-30")
def test_the_size_of_an_activation_decides_nothing(size):
    odd, tilted = (
        di.from_function(
            lambda x: size * (2.0 * jax.nn.sigmoid(2.0 * x) - 1.0)
        ),  # tanh, with its cancellation
        di.from_function(lambda x: size * jax.nn.silu(x)),
    )
    assert is_odd(odd)
    assert not is_odd(tilted)
    assert taylor_at_zero(odd) == pytest.approx((size, 0.0, -2.0 * size), rel=1e-12)
    assert taylor_at_zero(odd).curvature == 0.0
    assert taylor_at_zero(tilted) == pytest.approx((0.5 * size, 0.5 * size, 0.0), rel=1e-12)
    with pytest.raises(SpecError, match="whose value at 0"):
        taylor_at_zero(di.from_function(lambda x: size * jax.nn.softplus(x)))


@pytest.mark.slow
def test_rounding_makes_no_kink():
    activation = di.from_function(
        lambda x: jnp.where(x > 0.0, (0.1 * 3.0) * x, 0.3 * x)
    )  # slopes one bit apart
    assert activation.slopes == (0.1 * 3.0, 0.1 * 3.0)
    assert activation.kinks == ()
    roundings = di.from_function(lambda x: jnp.maximum(x, 0.0) / 3.0 * 7.0 / 5.0)
    assert roundings.slopes == pytest.approx((0.0, 7.0 / 15.0), rel=1e-15)
    with pytest.raises(SpecError, match="do not prove"):  # homogeneous, but not by its operations
        di.from_function(lambda x: jnp.maximum(x, 0.0) * (x * x + 1.0) / (x * x + 1.0))


@pytest.mark.slow
def test_of_equal_predictions_the_first_is_the_closest():
    estimate = di.simulate(
        di.MLP((4,) * 2), di.quantities.log_norm, di.inputs.ones(2), num_seeds=50
    )
    prediction = di.predict(di.MLP((4,) * 2), di.quantities.log_norm, di.inputs.ones(2))
    for share in (1.0 - 1e-15, 1.0, 1.0 + 1e-15):
        other = dataclasses.replace(prediction, name="other", mean=prediction.mean * share)
        found = di.compare(estimate, prediction, other).dataset
        assert set(found.closest.values.ravel()) == {prediction.name}
