"""Growth in other layers: leaky and linear activations, orthogonal matrices; volumes."""

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from layer_factor_draws import binomial, p_value, sampled
from statistical import assert_mean

from deepinit.networks.factors import log_layer_factors

NUM = 60_000
TOO_UNLIKELY = 1e-6


def beta_mixture_cdf(n, cdf_given_share):
    """E_K E_share cdf(x, share), share = A / (A + B) ~ Beta(K/2, (n-K)/2), Gauss-Jacobi."""

    def cdf(x):
        total = np.zeros_like(x)
        for k, probability in zip(*binomial(n), strict=True):
            if k in (0, n):
                total += probability * cdf_given_share(x, k / n)
                continue
            nodes, weights = scipy.special.roots_jacobi(30, (n - k) / 2 - 1, k / 2 - 1)
            for node, weight in zip(nodes, weights / weights.sum(), strict=True):
                total += probability * weight * cdf_given_share(x, (1 + node) / 2)
        return total

    return cdf


def on_a_grid(cdf):
    """The cdf on a logarithmic grid, then linear: errors of 1e-4 against a resolution of 1e-2."""
    grid = np.geomspace(1e-9, 40, 801)
    return lambda x: np.interp(np.log(x), np.log(grid), cdf(grid))


@pytest.mark.parametrize("slope", [0.3, pytest.param(-0.5, marks=pytest.mark.slow)])
@pytest.mark.slow_cases("0.3")
@pytest.mark.exhaustive_cases("-0.5")
def test_leaky_layers_have_the_exact_law(slope):
    widths = (1, 2, 5)
    logs = sampled(lambda key: log_layer_factors(key, widths, slopes=(slope, 1.0)), NUM)
    mean = (1 + slope**2) / 2
    for layer, n in enumerate(widths):

        def cdf(x, share, n=n):
            return scipy.special.gammainc(
                n / 2, x * n * mean / (share + slope**2 * (1 - share)) / 2
            )

        exact = on_a_grid(beta_mixture_cdf(n, cdf))
        assert p_value(logs[:, layer], exact) > TOO_UNLIKELY
        # rivals: a tenth more variance, and a layer whose neurons all have one slope
        assert p_value(logs[:, layer] + 0.1, exact) < TOO_UNLIKELY
        assert p_value(logs[:, layer], scipy.stats.chi2(n, scale=1 / n).cdf) < TOO_UNLIKELY
        # the rival: weights of variance 2/n
        squares = np.exp(logs[:, layer].astype(np.float64))
        assert_mean(squares, 1.0, rejects=1 + slope**2, resolves=0.1)


@pytest.mark.slow
def test_the_mean_length_of_leaky_layers():
    """E sqrt X = int (1 - E exp(-t X)) t^(-3/2) dt / (2 sqrt pi) at width 5, slope 0.3."""
    n, slope = 5, 0.3
    c = 2 / ((1 + slope**2) * n)
    transform = lambda t: (
        (0.5 / np.sqrt(1 + 2 * t * c) + 0.5 / np.sqrt(1 + 2 * t * c * slope**2)) ** n
    )
    integrand = lambda s: 2 * (1 - transform(s**2)) / s**2  # t = s^2
    parts = [scipy.integrate.quad(integrand, *ends)[0] for ends in ((0, 1), (1, np.inf))]
    exact = sum(parts) / (2 * math.sqrt(math.pi))
    lengths = np.exp(
        sampled(lambda key: log_layer_factors(key, (n,), slopes=(slope, 1.0)), NUM) / 2
    )
    # the rival: relu
    assert_mean(lengths[:, 0], exact, rejects=0.8697805884416435, resolves=0.03)


@pytest.mark.slow
def test_equal_slopes_are_a_linear_layer():
    for slopes in ((1.0, 1.0), (-2.0, 2.0)):
        logs = sampled(
            lambda key, slopes=slopes: log_layer_factors(key, (1, 6), slopes=slopes), NUM
        )
        for layer, n in enumerate((1, 6)):
            assert p_value(logs[:, layer], scipy.stats.chi2(n, scale=1 / n).cdf) > TOO_UNLIKELY
            assert p_value(logs[:, layer], scipy.stats.chi2(n + 1, scale=1 / n).cdf) < TOO_UNLIKELY


def test_a_reflected_relu_has_the_law_of_relu():
    logs = sampled(lambda key: log_layer_factors(key, (3,), slopes=(-1.0, 0.0)), NUM)
    assert p_value(logs[:, 0], relu_cdf(3)) > TOO_UNLIKELY
    assert p_value(logs[:, 0], relu_cdf(4)) < TOO_UNLIKELY


def relu_cdf(n):
    degrees, probabilities = (each[1:] for each in binomial(n))
    return lambda x: (
        scipy.special.gammainc(degrees / 2, x[:, None] * n / 4)
        @ probabilities
        / probabilities.sum()
    )


@pytest.mark.slow
@pytest.mark.exhaustive
def test_orthogonal_relu_layers_have_the_exact_law():
    """Square, wide and tall layers: shares of a uniform point of the sphere."""
    fan_in, widths = 5, (5, 3, 4)
    logs = sampled(lambda key: log_layer_factors(key, widths, law="orthogonal", fan_in=fan_in), NUM)
    for layer, (n_in, n) in enumerate(itertools.pairwise((fan_in, *widths))):
        total = max(n, n_in)

        def cdf(x, n=n, total=total):
            value = np.zeros_like(x)
            for k, probability in list(zip(*binomial(n), strict=True))[1:]:
                share = x * n / (2 * total)
                law = (
                    scipy.stats.beta(k / 2, (total - k) / 2).cdf(share) if k < total else share >= 1
                )
                value += probability / (1 - 2.0**-n) * law
            return value

        values = np.exp(logs[:, layer].astype(np.float64))
        values = values[
            (values > 0) & (values < 2 * total / n * (1 - 1e-5))
        ]  # without the atom where all are on
        atom = 2.0**-n / (1 - 2.0**-n) if n == total else 0.0
        exact = lambda x, cdf=cdf, atom=atom: cdf(x) / (1 - atom)
        assert scipy.stats.kstest(values, exact).pvalue > TOO_UNLIKELY
        assert (
            scipy.stats.kstest(values, relu_cdf(n)).pvalue < TOO_UNLIKELY
        )  # the rival: Gaussian weights
        # the rival: layers that are alive
        squares = np.exp(logs[:, layer].astype(np.float64))
        assert_mean(squares, 1.0, rejects=1 / (1 - 2.0**-n), resolves=0.1)
        dead = np.isneginf(logs[:, layer]).sum()
        assert scipy.stats.binomtest(int(dead), NUM, 2.0**-n).pvalue > TOO_UNLIKELY


@pytest.mark.slow
def test_orthogonal_linear_square_layers_are_isometries():
    logs = sampled(
        lambda key: log_layer_factors(key, (7, 7), slopes=(1.0, 1.0), law="orthogonal"), 100
    )
    assert (logs == 0).all()


@pytest.mark.parametrize("d", [2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.exhaustive
def test_volumes_have_the_exact_moments(d):
    widths, output = (2, 4, 9, 300), 6
    logs = sampled(
        lambda key: log_layer_factors(key, widths, output_width=output, d=d), NUM
    ).astype(np.float64)
    for layer, n in enumerate((*widths, output)):
        linear = layer == len(widths)
        degrees, weights = (np.array([n]), np.ones(1)) if linear else binomial(n)
        weights, degrees = weights[degrees >= d], degrees[degrees >= d]
        alive = np.isfinite(logs[:, layer])
        assert (
            scipy.stats.binomtest(int(alive.sum()), NUM, min(weights.sum(), 1.0)).pvalue
            > TOO_UNLIKELY
        )
        if not alive.any():
            continue
        weights = weights / weights.sum()
        psi, psi_1 = (
            scipy.special.polygamma(order, (degrees[:, None] - np.arange(d)) / 2).sum(1)
            for order in (0, 1)
        )
        mean = weights @ psi + d * math.log(2 / (n if linear else n / 2))
        variance = weights @ (psi_1 + (psi - weights @ psi) ** 2)
        # the rival: d tangents that are stretched independently
        rival = d * (
            weights @ scipy.special.digamma(degrees / 2) + math.log(2 / (n if linear else n / 2))
        )
        values = logs[alive, layer]
        assert_mean(values, mean, rejects=rival if n < 300 else mean + 0.5 * math.sqrt(variance))
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - rival) > (5 if n < 300 else 2) * error
        assert_mean((values - mean) ** 2, variance, rejects=1.1 * variance, resolves=0.1)
