"""Growth of a tangent in ReLU layers: exact law, moments of deep networks, keys, digits."""

import itertools
import math

import jax
import numpy as np
import pytest
import scipy.interpolate
import scipy.special
import scipy.stats
from layer_factor_draws import binomial, p_value, sampled
from statistical import assert_mean

from deepinit.core.errors import SpecError
from deepinit.networks.factors import log_layer_factors, log_layer_scales

NUM = 100_000
TOO_UNLIKELY = 1e-6


WIDTHS = (1, 2, 3, 5, 8, 64, 1000, 10_000)


@pytest.fixture(scope="module")
def relu_logs():
    return sampled(lambda key: log_layer_factors(key, WIDTHS, output_width=4), NUM)


def relu_cdf(n):
    """P(X <= x | K >= 1), a mixture of chi-square laws; above width 8 a spline of 1201 values."""
    degrees, probabilities = binomial(n)
    kept = (degrees > 0) & (probabilities > 1e-12)
    degrees, probabilities = degrees[kept], probabilities[kept] / probabilities[1:].sum()
    exact = lambda x: (
        scipy.special.gammainc(degrees / 2, np.asarray(x)[..., None] * n / 4) @ probabilities
    )
    if n <= 8:
        return exact
    deviation = math.sqrt(5 / n)
    grid = np.linspace(max(0.0, 1 - 8 * deviation), 1 + 12 * deviation, 1201)
    return scipy.interpolate.CubicSpline(grid, exact(grid))


@pytest.mark.exhaustive
def test_each_layer_has_the_exact_law(relu_logs):
    for layer, n in enumerate(WIDTHS):
        logs = relu_logs[:, layer]
        cdf = relu_cdf(n)
        assert p_value(logs, cdf) > TOO_UNLIKELY
        # rivals: half of the neurons on in every network; variances 0.1 standard deviations larger
        assert p_value(logs, scipy.stats.gamma(n / 4, scale=4 / n).cdf) < TOO_UNLIKELY
        assert p_value(logs + 0.1 * math.sqrt(5 / n), cdf) < TOO_UNLIKELY
    assert p_value(relu_logs[:, -1], scipy.stats.chi2(4, scale=1 / 4).cdf) > TOO_UNLIKELY


@pytest.mark.slow
@pytest.mark.exhaustive
def test_layers_die_as_often_as_all_coins_fall_on_one_side(relu_logs):
    dead = np.isneginf(relu_logs)
    for layer, n in enumerate(WIDTHS[:5]):
        assert scipy.stats.binomtest(int(dead[:, layer].sum()), NUM, 2.0**-n).pvalue > TOO_UNLIKELY
    assert scipy.stats.binomtest(int(dead[:, 2].sum()), NUM, 2.0**-4).pvalue < TOO_UNLIKELY
    assert not dead[:, 5:].any()
    assert not np.isnan(relu_logs).any()


@pytest.mark.slow
def test_layers_are_independent(relu_logs):
    alive = relu_logs[np.isfinite(relu_logs).all(axis=1)]
    correlations = np.corrcoef(alive.T)[np.triu_indices(len(WIDTHS) + 1, 1)]
    assert np.abs(correlations).max() * math.sqrt(len(alive)) < 5


def test_the_mean_squared_stretch_is_one(relu_logs):
    # light enough tails: the fourth moment of X is at most 8
    for layer in range(4, len(WIDTHS) + 1):
        squares = np.exp(relu_logs[:, layer].astype(np.float64))
        # the rival: weights of variance 1/n instead of 2/n
        assert_mean(squares, 1.0, rejects=0.5, resolves=0.1)


# Networks: mean and variance of the log squared growth given that it is not 0, and probability
# of that; E log = sum <psi(K / 2)>, Var log = sum (<psi_1(K / 2)> + Var psi(K / 2)), weight_var 2.
NETWORKS = {
    (3, 8, 4, 16, 2): (-2.274428024782, 6.237879066653, 0.9338236413896),
    (100, *(50,) * 10, 10): (-2.923293145494, 1.30300428922, 1.0),
}


@pytest.mark.parametrize("widths", NETWORKS)
@pytest.mark.slow_cases("widths0")
@pytest.mark.exhaustive_cases("widths1")
def test_logarithms_of_deep_networks(widths):
    mean, variance, survival = NETWORKS[widths]
    exact_mean, exact_variance = log_moments(widths)
    assert exact_mean == pytest.approx(mean, abs=1e-10)
    assert exact_variance == pytest.approx(variance, abs=1e-9)
    scales = log_layer_scales(widths[0], widths[1:-1], output_width=widths[-1])
    factors = sampled(
        lambda key: log_layer_factors(key, widths[1:-1], output_width=widths[-1]), NUM
    )
    total = (scales + factors).sum(axis=1)
    alive = np.isfinite(total)
    assert scipy.stats.binomtest(int(alive.sum()), NUM, survival).pvalue > TOO_UNLIKELY
    # rivals: half of the neurons on in every network, and variance 1/n instead of 2/n
    hidden = np.array(widths[1:-1])
    half = (scipy.special.digamma(hidden / 4) + np.log(2)).sum() - log_of_chi_square(hidden).sum()
    for shift in (half, -len(hidden) * math.log(2)):
        assert_mean(total[alive], mean, rejects=mean + shift, resolves=0.03)
    # the rival: a tenth more
    assert_mean((total[alive] - mean) ** 2, variance, rejects=1.1 * variance, resolves=0.1)


def log_of_chi_square(widths):
    """E log chi^2_K given K >= 1, for each width."""
    laws = [binomial(n) for n in widths]
    return np.array(
        [
            law[1:] @ scipy.special.digamma(k[1:] / 2) / law[1:].sum() + math.log(2)
            for k, law in laws
        ]
    )


def log_moments(widths):
    mean = math.log(2 / widths[-2]) + scipy.special.digamma(widths[-1] / 2)
    variance = scipy.special.polygamma(1, widths[-1] / 2)
    for fan_in, n in itertools.pairwise(widths[:-1]):
        degrees, probabilities = (each[1:] for each in binomial(n))
        probabilities = probabilities / probabilities.sum()
        psi = scipy.special.digamma(degrees / 2)
        centre = probabilities @ psi
        mean += math.log(4 / fan_in) + centre
        variance += probabilities @ (scipy.special.polygamma(1, degrees / 2) + (psi - centre) ** 2)
    return mean, variance


@pytest.mark.parametrize("law", ["normal", pytest.param("orthogonal", marks=pytest.mark.slow)])
@pytest.mark.exhaustive
def test_a_network_does_not_depend_on_how_many_are_drawn_together(law):
    fn = lambda key: log_layer_factors(
        key, (3, 64, 64, 2, 1000), slopes=(0.0, 1.0), law=law, output_width=2
    )
    by_batch = {batch: sampled(fn, 48, batch=batch) for batch in (1, 16)}
    alone = jax.jit(fn)
    by_batch["alone"] = np.stack(
        [np.asarray(alone(jax.random.fold_in(jax.random.key(0), seed))) for seed in range(48)]
    )
    for other in by_batch.values():
        np.testing.assert_array_equal(np.isneginf(other), np.isneginf(by_batch[1]))
        np.testing.assert_allclose(
            other, by_batch[1], rtol=2e-6, atol=1e-6
        )  # equal bits, other rounding
    assert np.isneginf(by_batch[1]).any()
    assert len(np.unique(by_batch[1][:, 2])) == 48
    assert np.isclose(sampled(fn, 48, key=1, batch=16), by_batch[1], atol=1e-3)[:, 1:3].mean() < 0.1


@pytest.mark.parametrize(
    "options",
    [{"d": 3}, pytest.param({"slopes": (0.1, 1.0), "law": "orthogonal"}, marks=pytest.mark.slow)],
)
@pytest.mark.exhaustive
def test_float32_gives_the_network_of_float64(options):
    fn = lambda dtype: (
        lambda key: log_layer_factors(key, (6, 50, 3000), output_width=9, dtype=dtype, **options)
    )
    single = sampled(fn("float32"), 2000)
    with jax.enable_x64(True):
        double = sampled(fn("float64"), 2000)
    assert single.dtype == np.float32
    assert double.dtype == np.float64
    dead = np.isneginf(double)
    np.testing.assert_array_equal(np.isneginf(single), dead)
    difference = np.where(dead, 0, single - np.where(dead, 0, double))
    assert np.quantile(np.abs(difference), 0.999) < 2e-5  # normals in the tail, sums near 0
    assert (np.median(np.abs(difference), axis=0) < 3e-7).all()


def test_scales_are_those_of_the_mean():
    scales = log_layer_scales(
        3, (8, 4), 1.5, slopes=(0.5, 1.0), output_width=2, output_var=1.2, d=2
    )
    exact = [1.5 * 8 / 3 * 0.625, 1.5 * 4 / 8 * 0.625, 1.2 * 2 / 4]
    np.testing.assert_allclose(scales, 2 * np.log(exact), rtol=1e-14)


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"fan_outs": ()}, "fan_outs"),
        ({"fan_outs": (4, 0)}, "a width=0"),
        ({"fan_outs": (4.5,)}, "a width=4.5"),
        ({"fan_outs": (2**23 + 1,)}, "8388608"),
        ({"output_width": 0}, "a width=0"),
        ({"fan_in": -1}, "a width=-1"),
        ({"d": 0}, "d=0"),
        ({"slopes": (0.0, 0.0)}, "slopes"),
        ({"slopes": (math.nan, 1.0)}, "slopes"),
        ({"law": "uniform"}, "uniform"),
        ({"d": 2, "slopes": (0.1, 1.0)}, "d=2"),
        ({"d": 2, "law": "orthogonal"}, "d=2"),
    ],
)
def test_refusals(arguments, match):
    with pytest.raises(SpecError, match=match):
        log_layer_factors(jax.random.key(0), **{"fan_outs": (4, 4), **arguments})
