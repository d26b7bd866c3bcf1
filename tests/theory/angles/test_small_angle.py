import itertools
import math

import jax
import jax.numpy as jnp
import mpmath as mp
import numpy as np
import pytest
from statistical import assert_mean, assert_value

from deepinit.core.errors import SpecError
from deepinit.theory.angles import degeneracy_probability, rho, small_angle_log_sin2_moments


@pytest.mark.parametrize("width", [2, 3, 4, 5, 6, 7, 8, 61, 100])
def test_small_angle_moments_against_the_chi_square_law(width):
    with mp.workdps(30):
        weights = {m: mp.binomial(width, m) for m in range(2, width + 1)}
        total = sum(weights.values())
        change = {m: mp.digamma(mp.mpf(m - 1) / 2) - mp.digamma(mp.mpf(m) / 2) for m in weights}
        mean = sum(weights[m] * change[m] for m in weights) / total
        spread = sum(weights[m] * (change[m] - mean) ** 2 for m in weights) / total
        within = (
            sum(
                weights[m] * (mp.psi(1, mp.mpf(m - 1) / 2) + mp.psi(1, mp.mpf(m) / 2))
                for m in weights
            )
            / total
        )
        exact = float(mean), float(within + spread)
    np.testing.assert_allclose(small_angle_log_sin2_moments(width), exact, rtol=1e-13)


@pytest.mark.parametrize(
    ("width", "mean", "variance"),
    [
        (8, -0.500691, 2.281473),
        (16, -0.173646, 0.709812),
        (32, -0.0718490, 0.287943),
        (64, -0.0333725, 0.133538),
        (128, -0.0161333, 0.0645385),
        (256, -0.00793701, 0.0317487),
        (1024, -0.00196079, 0.00784318),
    ],
)
def test_small_angle_moments_against_published_digits(width, mean, variance):
    np.testing.assert_allclose(small_angle_log_sin2_moments(width), (mean, variance), rtol=1e-5)


def test_small_angle_moments_reach_their_expansion_up_to_a_million():
    for width in (10**4, 10**5, 10**6):
        mean, variance = small_angle_log_sin2_moments(width)
        # 400 bounds the n^-3 coefficients (about -40 and 170); rho, with 100/n^2, is 92/n^2 away.
        assert abs(mean + 2 / width + 8 / width**2) < 400 / width**3 + 1e-13 * 2 / width
        assert abs(variance - 8 / width - 32 / width**2) < 400 / width**3 + 1e-13 * 8 / width
        assert abs(mean + rho(width)) > 80 / width**2


def enumerated(theta, width):
    """Sum over every pattern of which input activates which neuron."""
    both = (math.pi - theta) / (2 * math.pi)
    probability = {(1, 1): both, (0, 0): both, (1, 0): 0.5 - both, (0, 1): 0.5 - both}
    collinear = dead = total = 0.0
    for pattern in itertools.product(probability, repeat=width):
        weight = math.prod(probability[neuron] for neuron in pattern)
        first, second = (tuple(neuron[i] for neuron in pattern) for i in (0, 1))
        total += weight
        if not any(first) or not any(second):
            dead += weight
        elif (
            first == second and sum(first) == 1
        ):  # two or more common neurons carry two different directions
            collinear += weight
    assert total == pytest.approx(1.0)
    return collinear, dead


@pytest.mark.parametrize("width", [1, 2, 3, 4, 5, 6])
def test_degeneracy_against_all_activity_patterns(width):
    for theta in (1e-3, 0.7, math.pi / 2, 2.5, math.pi):
        np.testing.assert_allclose(
            degeneracy_probability(theta, width), enumerated(theta, width), rtol=1e-12, atol=1e-16
        )


def test_degeneracy_known_counts():
    collinear, dead = degeneracy_probability(0.05, 16)
    # 711 and 68 events in 3.75e6 simulated layers
    counts = np.array([711.0, 68.0])
    exact = 3.75e6 * np.array([collinear, dead])
    assert_value(counts, np.sqrt(counts), exact, rejects=exact / [16, 1], resolves=0.7)


def test_degeneracy_of_sampled_layers():
    width, theta, layers = 5, 1.0, 200_000
    rng = np.random.default_rng(20)
    g, w = rng.standard_normal((2, layers, width))
    first, second = g > 0, math.cos(theta) * g + math.sin(theta) * w > 0
    dead = ~first.any(axis=1) | ~second.any(axis=1)
    collinear = (first == second).all(axis=1) & (first.sum(axis=1) == 1)
    expected = degeneracy_probability(theta, width)
    for events, probability in zip((collinear, dead), expected, strict=True):
        error = math.sqrt(probability * (1 - probability) / layers)
        # A wrong sign of q^n, or a factor width lost, moves both by more than this.
        rival = 2.0 ** (1 - width)
        assert_mean(events, probability, rejects=rival, resolves=0.1, standard_error=error)


def test_degeneracy_broadcasts_and_traces():
    values = degeneracy_probability(np.array([0.1, 1.0])[:, None], np.array([2, 8, 32]))
    assert values.collinear.shape == values.dead.shape == (2, 3)
    traced = jax.jit(degeneracy_probability)(jnp.asarray([[0.1], [1.0]]), jnp.asarray([2, 8, 32]))
    np.testing.assert_allclose(traced.collinear, values.collinear, rtol=2e-5)
    np.testing.assert_allclose(traced.dead, values.dead, rtol=2e-5)


@pytest.mark.parametrize("width", [1, 0, 2.5, -3, "8"])
def test_small_angle_moments_refuse_what_is_no_width(width):
    with pytest.raises(SpecError, match="whole numbers >= 2"):
        small_angle_log_sin2_moments(width)


def test_degeneracy_refuses_bad_input():
    with pytest.raises(SpecError, match="whole numbers >= 1"):
        degeneracy_probability(1.0, 0)
    with pytest.raises(SpecError, match=r"angles in \[0, pi\]"):
        degeneracy_probability(4.0, 3)


def test_small_angle_moments_of_arrays_are_those_of_each_width():
    widths = np.array([[2, 16], [64, 3]])
    result = small_angle_log_sin2_moments(widths)
    for index, n in np.ndenumerate(widths):
        one = small_angle_log_sin2_moments(int(n))
        assert isinstance(one.mean, float)
        assert (result.mean[index], result.variance[index]) == one
    in_jax = small_angle_log_sin2_moments(jnp.asarray(widths))
    assert isinstance(in_jax.mean, jax.Array)
    assert in_jax.mean.dtype == in_jax.variance.dtype == jnp.float32
    np.testing.assert_allclose(in_jax.mean, result.mean, rtol=1e-6)
    assert small_angle_log_sin2_moments(jnp.asarray(64)).variance.shape == ()
    with pytest.raises(SpecError, match="traced width"):
        jax.jit(small_angle_log_sin2_moments)(64)
