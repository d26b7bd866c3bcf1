import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.angles import (
    THEORIES,
    log_sin2_mean,
    log_sin2_variance,
    rho,
    small_angle_log_sin2_moments,
)


@pytest.mark.parametrize("form", ["hybrid", "tapered"])
def test_small_angle_limit_is_exact_in_the_width(form):
    theta = 1e-9
    for width in (2, 3, 8, 100):
        mean, variance = small_angle_log_sin2_moments(width)
        assert log_sin2_mean(theta, width, form) - 2 * math.log(theta) == pytest.approx(
            mean, abs=1e-7
        )
        assert log_sin2_variance(theta, width, form) == pytest.approx(variance, abs=1e-7)


def test_rho_and_the_published_small_angle_expansion_of_the_paper():
    assert rho(16) == pytest.approx(0.400327, abs=1e-6)
    assert rho(1024) == pytest.approx(0.00204785, abs=1e-8)
    np.testing.assert_allclose(rho(np.array([1e4, 1e5])), [2e-4 + 1e-6, 2e-5 + 1e-8], rtol=1e-4)
    width = 1e6
    assert float(rho(jnp.float32(width))) == pytest.approx(2e-6, rel=1e-3)
    theta, n = 1e-3, 1000
    expansion = (
        2 * math.log(math.sin(theta)) - 2 * theta / (3 * math.pi)
        - rho(n) - 8 * theta / (15 * math.pi * n)
        - (2 / (9 * math.pi**2) - 68 / (45 * math.pi**2 * n)) * theta**2
    )  # fmt: skip
    assert log_sin2_mean(theta, n, "paper") == pytest.approx(expansion, abs=2e-9)


@pytest.mark.slow
def test_ends_of_the_range():
    for form in THEORIES:
        assert log_sin2_mean(0.0, 64, form) == -math.inf
        assert log_sin2_variance(0.0, 64, form) == pytest.approx(
            log_sin2_variance(1e-9, 64, form), rel=1e-7
        )
        if form != "hybrid":  # images of opposite inputs have disjoint supports: sin^2 = 1 surely
            assert log_sin2_mean(math.pi, 64, form) == pytest.approx(0.0, abs=1e-13)
            assert log_sin2_variance(math.pi, 64, form) == pytest.approx(0.0, abs=1e-13)
    assert log_sin2_mean(np.float32(math.pi), 64) == pytest.approx(0.0, abs=1e-13)
    angle = jnp.asarray([0.0, math.pi], dtype=jnp.float32)
    np.testing.assert_allclose(
        jax.jit(lambda t: log_sin2_mean(t, 64))(angle), [-math.inf, 0.0], atol=1e-6
    )


@pytest.mark.parametrize("form", ["paper", "tapered"])
@pytest.mark.slow_cases("paper")
@pytest.mark.exhaustive_cases("tapered")
def test_traces_under_jit_vmap_and_grad(form):
    with jax.enable_x64(True):
        theta = jnp.asarray([0.2, 1.0, 1.9], dtype=jnp.float64)
        mean = lambda t: log_sin2_mean(t, 32, form)
        np.testing.assert_allclose(
            jax.jit(jax.vmap(mean))(theta), mean(np.asarray(theta)), rtol=1e-12
        )
        step = 1e-5
        slope = (mean(np.asarray(theta) + step) - mean(np.asarray(theta) - step)) / (2 * step)
        gradient = jax.jit(jax.vmap(jax.grad(mean)))
        np.testing.assert_allclose(gradient(theta), slope, rtol=1e-7)
        tiny = 1e-10 * theta
        np.testing.assert_allclose(
            gradient(tiny) * tiny, 2.0, rtol=1e-6
        )  # d(ln theta^2) / d ln theta


@pytest.mark.slow
def test_widths_broadcast_and_trace():
    theta, widths = np.array([0.1, 1.0])[:, None], np.array([8, 64, 512])
    for form in THEORIES:
        values = log_sin2_mean(theta, widths, form)
        assert values.shape == (2, 3)
        assert values[1, 2] == pytest.approx(float(log_sin2_mean(1.0, 512, form)), rel=1e-14)
    traced = jax.jit(log_sin2_mean)(jnp.asarray(theta), jnp.asarray(widths))
    np.testing.assert_allclose(traced, log_sin2_mean(theta, widths), rtol=1e-5)


def test_relu_is_relu_up_to_factor_and_reflection():
    assert log_sin2_mean(1.0, 16, "paper", activation=leaky_relu(0.0)) == log_sin2_mean(
        1.0, 16, "paper"
    )


def test_linear_layer_has_the_chi_square_law():
    # the ratio of sin^2 has the law chi^2_{n-1} / chi^2_n as theta -> 0, the same mean at any angle
    n = 40
    with mp.workdps(20):
        mean = float(mp.digamma(mp.mpf(n - 1) / 2) - mp.digamma(mp.mpf(n) / 2))
        variance = float(mp.psi(1, mp.mpf(n - 1) / 2) + mp.psi(1, mp.mpf(n) / 2))
    theta = 1e-6
    second = log_sin2_mean(theta, n, activation="linear") - 2 * math.log(theta)
    assert abs(second - mean) < 5 / n**3
    assert (
        abs(
            log_sin2_mean(theta, n, "first_order", activation="linear") - 2 * math.log(theta) - mean
        )
        > 1 / n**2
    )
    assert abs(log_sin2_variance(theta, n, activation="linear") - variance) < 20 / n**3


def test_smooth_activation_depends_on_the_preactivation_variances():
    at_one = log_sin2_mean(0.5, 100, activation="tanh")
    small = log_sin2_mean(0.5, 100, activation="tanh", variances=(1e-6, 1e-6))
    assert small == pytest.approx(log_sin2_mean(0.5, 100, activation="linear"), abs=1e-5)
    assert abs(at_one - small) > 1e-2


@pytest.mark.parametrize("form", ["paper", "hybrid", "tapered"])
def test_relu_formulas_are_refused_elsewhere(form):
    with pytest.raises(SpecError, match=f"{form}.*with ReLU"):
        log_sin2_mean(1.0, 16, form, activation="tanh")
    with pytest.raises(SpecError, match=">= 2"):
        log_sin2_variance(1.0, 1, form)


@pytest.mark.parametrize("function", [log_sin2_mean, log_sin2_variance])
def test_bad_arguments_are_refused(function):
    with pytest.raises(SpecError, match="second_order"):
        function(1.0, 16, "third_order")
    with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
        function(-1.0, 16)
    for width in (0, 2.5, math.inf, math.nan):
        with pytest.raises(SpecError, match="whole numbers >= 1"):
            function(1.0, width)
    with pytest.raises(SpecError, match="whole numbers >= 2"):
        rho(1)


@pytest.mark.parametrize("form", ["hybrid", "tapered"])
@pytest.mark.parametrize("function", [log_sin2_mean, log_sin2_variance])
@pytest.mark.slow_cases("log_sin2_mean-tapered")
@pytest.mark.exhaustive_cases("log_sin2_mean-hybrid")
@pytest.mark.exhaustive_cases("log_sin2_mean-tapered")
def test_forms_that_sum_over_neurons_ask_for_a_concrete_width(function, form):
    with pytest.raises(SpecError, match=f"{form}.*concrete width"):
        jax.jit(lambda n: function(0.1, n, form))(64)
    assert float(function(0.1, jnp.asarray(64), form)) == pytest.approx(
        float(function(0.1, 64, form)), rel=1e-5
    )


def test_text_is_no_angle_and_no_width():
    for arguments in (("a", 64), ("0.1", 64), (0.1, "64"), (None, 64)):
        with pytest.raises(SpecError, match="numbers"):
            log_sin2_mean(*arguments)


@pytest.mark.exhaustive_cases("second_order")
@pytest.mark.parametrize("form", ["second_order", "tapered"])
@pytest.mark.slow
def test_python_floats_under_jax_are_computed_in_float32(form):
    mean = lambda theta: log_sin2_mean(theta, 64, form)
    both = jax.jit(jax.value_and_grad(mean))
    for theta in (1e-12, 1e-4, 0.1):
        value, slope = both(theta)
        assert value.dtype == slope.dtype == jnp.float32
        assert float(value) == pytest.approx(float(mean(theta)), rel=1e-5)
        exact = (mean(theta * 1.001) - mean(theta * 0.999)) / (0.002 * theta)
        assert float(slope) == pytest.approx(float(exact), rel=1e-3)
    assert mean(jnp.asarray(0.1)).dtype == jnp.float32
    assert mean(jnp.bfloat16(0.1)).dtype == jnp.bfloat16


@pytest.mark.slow
def test_smooth_activations_answer_in_jax_and_trace():
    layer = lambda theta: log_sin2_mean(theta, 64, activation="tanh")
    angles = np.array([0.1, 0.5, 1.0])
    exact = layer(angles)
    single = layer(jnp.float32(0.1))
    assert isinstance(single, jax.Array)
    assert single.dtype == jnp.float32
    assert float(single) == pytest.approx(exact[0], rel=1e-5)
    theta = jnp.asarray(angles, dtype=jnp.float32)
    for function in (layer, jax.jit(layer), jax.vmap(layer), jax.jit(jax.vmap(layer))):
        np.testing.assert_allclose(function(theta), exact, rtol=1e-5)
    with pytest.raises(SpecError, match="not positively homogeneous"):
        jax.grad(layer)(0.5)
