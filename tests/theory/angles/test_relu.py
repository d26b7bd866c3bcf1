import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from deepinit.theory.angles import THEORIES, log_sin2_mean, log_sin2_variance
from deepinit.theory.angles.relu import next_angle, relu_layer


def textbook(theta, width):
    """The paper's formulas written as printed, from the closed forms of J, at 100 digits."""
    with mp.workdps(100):
        theta, n = mp.mpf(theta), mp.mpf(width)
        c, s, opening = mp.cos(theta), mp.sin(theta), mp.pi - theta
        j11 = (opening * c + s) / (2 * mp.pi)
        j22 = ((2 * c**2 + 1) * opening + 3 * c * s) / (2 * mp.pi)
        j31 = (3 * c * opening + (c**2 + 2) * s) / (2 * mp.pi)
        e = 1 - 4 * j11**2
        t = 8 * j11**2 * j22 - 8 * j11**4 + 4 * j11**2 - 8 * j11 * j31 + j22 + 1
        u = 2 * j11**2 - 4 * j11 * j31 + j22 + 1
        d = 4 * j22 - 1 + n
        paper_mean = (
            mp.log((n - 1) * e / d) + 4 * n * (j22 + 1) / d**2 - 4 * n * t / ((n - 1) ** 2 * e**2)
        )
        paper_variance = (
            8 * n * (j22 + 1) / d**2
            + 8 * n * t / ((n - 1) ** 2 * e**2)
            - 16 * n * u / (d * (n - 1) * e)
        )
        first_mean = mp.log(e) + 4 * (1 - t / e**2) / n
        first_variance = 8 * (j22 + 1 + t / e**2 - 2 * u / e) / n
        return tuple(float(x) for x in (paper_mean, paper_variance, first_mean, first_variance))


@pytest.mark.parametrize("theta", [1e-12, 1e-8, 1e-5, 1e-3, 0.1, 1.0, 1.5, 1.6, 2.5, 3.0, 3.1])
def test_float64_against_a_hundred_digits(theta):
    for width in (2, 16, 4096):
        paper_mean, paper_variance, first_mean, first_variance = textbook(theta, width)
        tolerance = 1e-14 * (1 + abs(first_mean))
        assert abs(log_sin2_mean(theta, width, "first_order") - first_mean) < 2 * tolerance
        assert abs(log_sin2_variance(theta, width, "first_order") - first_variance) < 1e-13
        assert abs(log_sin2_mean(theta, width, "paper") - paper_mean) < 10 * tolerance
        assert abs(log_sin2_variance(theta, width, "paper") - paper_variance) < 2e-13


def test_first_order_keeps_its_digits_as_it_vanishes_at_pi():
    theta = np.array([2.5, 3.0, 3.1])
    layer = relu_layer(theta)
    exact = np.array([textbook(value, 10**6)[3] * 10**6 for value in theta])
    np.testing.assert_allclose(layer.d1, exact, rtol=1e-10)
    assert np.all(layer.d1 < 1e-4)


@pytest.mark.parametrize("form", THEORIES)
@pytest.mark.slow_cases("paper")
@pytest.mark.exhaustive_cases("hybrid", "second_order", "tapered")
def test_float32_against_float64_from_tiny_angles_to_pi(form):
    theta = np.concatenate([np.geomspace(1e-12, 1.0, 120), np.linspace(1.0, 3.1, 80)]).astype(
        np.float32
    )
    for function in (log_sin2_mean, log_sin2_variance):
        reference = function(theta.astype(np.float64), 16, form)
        value = jax.jit(lambda t, function=function: function(t, 16, form))(jnp.asarray(theta))
        assert value.dtype == jnp.float32
        # 2e-6 of the coefficients, and the rounding of a logarithm as low as -55
        np.testing.assert_array_less(
            np.abs(np.asarray(value, np.float64) - reference), 2e-6 + 1.2e-7 * np.abs(reference)
        )


def test_infinite_width_limit_is_the_arc_cosine_map():
    theta = np.array([1e-9, 0.1, 1.0, 2.0, 3.0])
    limit = 2 * np.log(np.sin(next_angle(theta)))
    np.testing.assert_allclose(log_sin2_mean(theta, 10**12), limit, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(log_sin2_variance(theta, 10**12), 0.0, atol=1e-11)
