import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.angles import approximation_1, infinite_width_angles, log_sin2_mean, rho

# Layers 1, 5, 10, 20, 30, 31 from angle 0.1 at width 256: Approximation 1, the same with rho = 2/n,
# the paper's one-layer mean iterated, infinite width; simulated mean and its standard error
LAYERS = np.array([1, 5, 10, 20, 30, 31])
APPROXIMATION_1 = [-4.6390, -4.7580, -4.9001, -5.1657, -5.4106, -5.4341]
TWO_OVER_N = [-4.6375, -4.7507, -4.8859, -5.1384, -5.3709, -5.3932]
MEAN_ITERATED = [-4.6392, -4.7590, -4.9020, -5.1690, -5.4149, -5.4385]
INFINITE = [-4.6299, -4.7132, -4.8127, -4.9977, -5.1668, -5.1830]


def ln_sin2(theta):
    return 2 * np.log(np.sin(theta))


def test_infinite_width_against_the_arc_cosine_kernel_at_fifty_digits():
    for theta0 in (1e-10, 0.3, 1.0, 2.5, math.pi):
        with mp.workdps(50):
            theta, exact = mp.mpf(theta0), [theta0]
            for _ in range(30):
                theta = mp.acos((mp.sin(theta) + (mp.pi - theta) * mp.cos(theta)) / mp.pi)
                exact.append(float(theta))
        np.testing.assert_allclose(infinite_width_angles(theta0, 30), exact, rtol=5e-15)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_infinite_width_published_digits_and_asymptotic_rate():
    theta = infinite_width_angles(0.3, 100_000)
    np.testing.assert_allclose(
        theta[[10, 100, 1000]], [0.2249263816, 0.07046334405, 0.009089632667], rtol=1e-9
    )
    # 3 pi / theta_L = L + (3/2) ln L + const: one constant at two depths, only with the logarithm
    depth = np.array([50_000, 100_000])
    rest = 3 * math.pi / theta[depth] - depth
    assert abs(np.diff(rest - 1.5 * np.log(depth))[0]) < 5e-3
    assert abs(np.diff(rest)[0]) > 1.0


def test_infinite_width_traces_and_keeps_shape_and_dtype():
    start = np.array([0.1, 1.0, 3.0])
    angles = infinite_width_angles(start, 5)
    assert angles.shape == (6, 3)
    np.testing.assert_array_equal(angles[0], start)
    traced = jax.jit(lambda t: infinite_width_angles(t, 5))(jnp.asarray(start, dtype=jnp.float32))
    assert traced.dtype == jnp.float32
    np.testing.assert_allclose(traced, angles, rtol=1e-6)
    tiny = infinite_width_angles(jnp.float32(1e-12), 3)
    np.testing.assert_allclose(tiny, 1e-12, rtol=1e-6)
    assert infinite_width_angles(0.5, 0).shape == (1,)


def test_published_table_of_deterministic_rules():
    widths = (256,) * 31
    np.testing.assert_allclose(
        approximation_1(0.1, widths)[LAYERS - 1], APPROXIMATION_1, rtol=0, atol=6e-5
    )
    np.testing.assert_allclose(
        ln_sin2(infinite_width_angles(0.1, 31))[LAYERS], INFINITE, rtol=0, atol=6e-5
    )
    x, theta, iterated = ln_sin2(0.1), 0.1, []
    y, plain = ln_sin2(0.1), []
    for _ in widths:
        x = float(log_sin2_mean(theta, 256, "paper"))
        theta = math.asin(math.exp(x / 2))
        iterated.append(x)
        y = y - 2 / (3 * math.pi) * math.asin(math.exp(y / 2)) - 2 / 256
        plain.append(y)
    np.testing.assert_allclose(np.array(iterated)[LAYERS - 1], MEAN_ITERATED, rtol=0, atol=6e-5)
    np.testing.assert_allclose(np.array(plain)[LAYERS - 1], TWO_OVER_N, rtol=0, atol=6e-5)


def test_approximation_1_takes_the_obtuse_angle_and_the_produced_width():
    widths = (16, 256)
    first, second = approximation_1(2.0, widths)
    assert first == pytest.approx(ln_sin2(2.0) - 4 / (3 * math.pi) - rho(16), rel=1e-14)
    assert second == pytest.approx(
        first - 2 / (3 * math.pi) * math.asin(math.exp(first / 2)) - rho(256), rel=1e-14
    )


def test_approximation_1_decays_at_least_like_the_sum_of_rho():
    widths = tuple(range(20, 120))
    x = approximation_1(0.5, widths)
    assert np.all(x <= ln_sin2(0.5) - np.cumsum(rho(np.array(widths))) + 1e-12)


def test_approximation_1_traces():
    start = np.array([0.1, 1.0])
    traced = jax.jit(lambda t: approximation_1(t, (64, 32, 16)))(
        jnp.asarray(start, dtype=jnp.float32)
    )
    np.testing.assert_allclose(traced, approximation_1(start, (64, 32, 16)), rtol=2e-6)


def test_bad_arguments_are_refused():
    for depth in (-1, 2.5):
        with pytest.raises(SpecError, match=r"depth.*integers >= 0"):
            infinite_width_angles(0.3, depth)
    for call in (lambda: infinite_width_angles(4.0, 3), lambda: approximation_1(-0.1, (8,))):
        with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
            call()
    for widths in ((), 8):
        with pytest.raises(SpecError, match="one whole number per layer"):
            approximation_1(0.3, widths)
    with pytest.raises(SpecError, match=">= 2"):
        approximation_1(0.3, (8, 1))
