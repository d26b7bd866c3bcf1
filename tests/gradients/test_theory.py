"""Derivatives in the angle of the angle theory, at 0, pi/2 and pi too."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.core.errors import SpecError
from deepinit.infinite_width.precision import host_float64
from deepinit.theory.angles import (
    approximation_1,
    infinite_width_angles,
    log_sin2_mean,
    log_sin2_variance,
)
from deepinit.theory.angles.pair_cumulants import coefficients

INSIDE = np.array([1e-3, 1.0, 0.5 * math.pi, 2.5])
STEPS = 1e-5 * np.minimum(INSIDE, 0.1)


def _derivative(function, angles):
    with host_float64():
        return np.asarray(
            jax.jit(lambda x: jax.jvp(function, (x,), (jnp.ones_like(x),))[1])(jnp.asarray(angles))
        )


FORMS = {
    "mean": lambda t: log_sin2_mean(t, 20),
    "tapered mean": lambda t: log_sin2_mean(t, 20, "tapered"),
    "variance": lambda t: log_sin2_variance(t, 20),
    "paper's variance": lambda t: log_sin2_variance(t, 20, "paper"),
    "mean, leaky": lambda t: log_sin2_mean(t, 20, activation=di.leaky_relu(0.2)),
    "variance, leaky": lambda t: log_sin2_variance(t, 20, activation=di.leaky_relu(0.2)),
    "variance, absolute": lambda t: log_sin2_variance(t, 20, activation=di.absolute),
    "chain": lambda t: approximation_1(t, (20, 30))[-1],
    "limit": lambda t: infinite_width_angles(t, 3)[-1],
}
CASES = [
    pytest.param(
        name, id=name, marks=() if name in ("variance, leaky", "chain") else pytest.mark.slow
    )
    for name in FORMS
]


@pytest.mark.parametrize("name", CASES)
@pytest.mark.slow_cases("variance, leaky")
@pytest.mark.exhaustive_cases("mean", "variance, absolute")
@pytest.mark.exhaustive_cases("variance, leaky")
def test_derivatives_equal_differences(name):
    function = FORMS[name]
    found = _derivative(function, np.append(INSIDE, 0.0))
    expected = (function(INSIDE + STEPS) - function(INSIDE - STEPS)) / (2 * STEPS)
    np.testing.assert_allclose(found[:-1], expected, rtol=1e-6, atol=1e-7)
    at_zero, near, step = found[-1], np.array([0.0, 1e-5, 2e-5]), 1e-5
    start = function(near)
    if np.isfinite(start[0]):  # a one-sided difference, of functions with an expansion in the angle
        assert at_zero == pytest.approx(
            (4 * start[1] - start[2] - 3 * start[0]) / (2 * step), abs=1e-5
        )
    else:  # ln sin^2 is -inf at 0
        assert at_zero == np.inf


@pytest.mark.parametrize("name", ["variance, absolute"])
@pytest.mark.slow
@pytest.mark.exhaustive_cases("variance, absolute")
def test_derivatives_at_opposite_inputs(name):
    function = FORMS[name]
    last = function(np.pi - np.array([0.0, 1e-5, 2e-5]))
    expected = (3 * last[0] - 4 * last[1] + last[2]) / 2e-5
    assert _derivative(function, np.array([np.pi]))[0] == pytest.approx(expected, abs=1e-5)


def test_a_derivative_that_the_host_cannot_give_is_refused():
    with host_float64(), pytest.raises(SpecError, match="derivative in the angle"):
        jax.grad(lambda t: coefficients(t, di.tanh).c1)(jnp.float64(1.0))
