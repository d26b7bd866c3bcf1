"""Logarithms of chi-square variables: exact law for 1 to thousands of degrees of freedom."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import scipy.special
import scipy.stats
from statistical import assert_mean

from deepinit.networks.chi_square import _log_ratio, log_chi_square, normal_from_bits

DEGREES = np.array([1, 2, 3, 4, 7, 20, 500, 5000])
NUM = 200_000


def drawn(degrees, reference, num, dtype="float32", key=0):
    one = lambda key: log_chi_square(key, jnp.asarray(degrees), reference, dtype)
    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys, batch_size=1000))(keys))


@pytest.fixture(scope="module")
def logs():
    return drawn(DEGREES, DEGREES / 2, NUM).astype(np.float64)


@pytest.mark.exhaustive
def test_the_law_is_chi_square(logs):
    for column, k in enumerate(DEGREES):
        values = np.exp(logs[:, column]) * k / 2
        assert scipy.stats.kstest(values, scipy.stats.chi2(k).cdf).pvalue > 1e-6
        # the rival: the mean off by a twentieth of a standard deviation
        assert (
            scipy.stats.kstest(
                values * (1 + 0.05 * math.sqrt(2 / k)), scipy.stats.chi2(k).cdf
            ).pvalue
            < 1e-6
        )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_mean_and_variance_of_the_logarithm(logs):
    mean = scipy.special.digamma(DEGREES / 2) + np.log(4 / DEGREES)
    variance = scipy.special.polygamma(1, DEGREES / 2)
    error = np.sqrt(variance / NUM)
    # the rivals: the logarithm of the mean, rejected at every degree; the delta method
    assert_mean(logs, mean, rejects=math.log(2), standard_error=error)
    assert np.abs((logs.mean(0) - math.log(2)) / error).min() > 5
    assert_mean((logs - mean) ** 2, variance, rejects=2 / DEGREES, resolves=0.1)


@pytest.mark.slow
def test_entries_of_one_draw_are_independent():
    logs = drawn(np.full(6, 1), 1.0, 50_000)
    correlations = np.corrcoef(logs.T)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() * math.sqrt(len(logs)) < 5


@pytest.mark.parametrize(("k", "kept"), [(1, 0.84), (2, 0.95), (4, 0.98), (100, 1 - 1 / 1800)])
def test_how_many_proposals_are_kept(k, kept):
    d = k / 2 - 1 / 3
    x = np.linspace(-10, 10, 100_001)
    y = np.maximum(x / (3 * math.sqrt(d)), -1 + 1e-12)
    accepted = np.exp(3 * d * (np.log1p(y) - y + y**2 / 2 - y**3 / 3))
    assert np.average(accepted, weights=np.exp(-(x**2) / 2)) == pytest.approx(
        kept, abs=max(0.005 * (k < 10), 1e-5)
    )


def test_without_rejection_the_law_is_wrong_at_few_degrees_of_freedom():
    normals = np.random.default_rng(0).normal(size=NUM)
    for k in (1, 2, 3):
        d = k / 2 - 1 / 3
        cubes = 2 * d * np.maximum(1 + normals / (3 * math.sqrt(d)), 0) ** 3
        assert scipy.stats.kstest(cubes, scipy.stats.chi2(k).cdf).pvalue < 1e-6


def test_the_rejection_is_the_ratio_of_the_two_densities():
    """The proposal's density times exp(3 d r) is that of chi^2 up to a constant; r <= 0."""
    y = np.linspace(-0.999, 3, 400)
    r = np.log1p(y) - y + y**2 / 2 - y**3 / 3
    assert r.max() <= 1e-15
    for k in (1, 2, 5, 40):
        d = k / 2 - 1 / 3
        kept = -4.5 * d * y**2 + 3 * d * r
        target = scipy.stats.chi2(k).logpdf(2 * d * (1 + y) ** 3) + 2 * np.log1p(y)
        assert np.ptp(kept - target) < 1e-9 * np.abs(target).max()


@pytest.mark.slow
def test_the_log_ratio_keeps_its_digits_in_float32():
    y = np.concatenate(
        [np.linspace(-0.999, 4, 997), np.geomspace(1e-6, 0.3, 99), -np.geomspace(1e-6, 0.3, 99)]
    )
    y = y.astype(np.float32)
    with mpmath.workdps(50):
        exact = np.array(
            [mpmath.log1p(v) - v + v**2 / 2 - v**3 / 3 for v in (mpmath.mpf(float(v)) for v in y)],
            float,
        )
    values = np.asarray(_log_ratio(jnp.asarray(y)), np.float64)
    small = np.abs(y) < 0.25
    np.testing.assert_allclose(values[small], exact[small], rtol=3e-6)
    np.testing.assert_allclose(values[~small], exact[~small], rtol=1e-6, atol=2e-7)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_float32_and_float64_draw_the_same_numbers():
    degrees = np.tile(DEGREES, 8)
    single = drawn(degrees, degrees, 4000)
    with jax.enable_x64(True):
        double = drawn(degrees, degrees, 4000, "float64")
    # in units of the standard deviation: the logarithm itself passes through 0
    difference = np.abs(single - double) / np.sqrt(scipy.special.polygamma(1, degrees / 2))
    assert (
        difference > 1e-2
    ).sum() <= 2  # a uniform rounded to the other side of its threshold: one in ten million
    assert (difference > 1e-5).mean() < 1e-3  # a normal beyond 4, or 1 + y near 0
    assert np.median(difference) < 2e-7
    signed = np.where(difference > 1e-2, 0, single - double).reshape(-1, len(DEGREES))
    assert np.abs(signed.mean(0) / np.sqrt(scipy.special.polygamma(1, DEGREES / 2))).max() < 1e-6


def test_normals_from_evenly_spaced_bits_have_the_moments_of_a_normal():
    words = (np.arange(2**20, dtype=np.uint64) * 2**12 + 2**11).astype(np.uint32)
    normals = np.asarray(normal_from_bits(jnp.asarray(words), "float32"), np.float64)
    assert abs(normals.mean()) < 1e-8
    assert abs((normals**3).mean()) < 1e-7
    exact = scipy.special.ndtri((np.arange(2**20) + 0.5) / 2**20)
    order = np.argsort(words.view(np.int32), kind="stable")
    # float32 rounds the uniform by 2^-24 at most, the normal quantile by that over its density
    rounding = 2**-24 * math.sqrt(2 * math.pi) * np.exp(exact**2 / 2)
    assert (np.abs(normals[order] - exact) < rounding + 5e-7 * (1 + np.abs(exact))).all()
    assert abs((normals**2).mean() - (exact**2).mean()) < 5e-7


def test_normals_at_the_extreme_bits_are_finite_and_symmetric():
    words = jnp.asarray([2**31, 2**31 - 1, 0, 2**32 - 1], jnp.uint32)
    lowest, highest, above, below = (float(value) for value in normal_from_bits(words, "float32"))
    assert lowest == -highest
    assert 5.2 < highest < 5.5
    assert above == -below
    assert 0 < above < 1e-9


@pytest.mark.slow
def test_no_degrees_of_freedom_give_minus_infinity():
    logs = np.asarray(log_chi_square(jax.random.key(0), jnp.asarray([0, -3, 5]), 2.5))
    assert np.isneginf(logs[:2]).all()
    assert np.isfinite(logs[2])
