import math

import mpmath as mp
import numpy as np
import pytest
from scipy import stats

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import HomogeneousNetwork, length_cdf, length_moment

X = np.array([-1.0, 0.0, 1e-6, 1e-2, 0.1, 0.5, 0.9, 1.0, 1.3, 2.0, 5.0, 100.0, np.inf])
SQUARES = np.maximum(X, 0.0) ** 2


@pytest.mark.parametrize("width", [1, 2, 7, 100, 5000])
def test_one_linear_layer_is_chi_square(width):
    exact = stats.chi2.cdf(SQUARES * 3 / 1.5, width)
    np.testing.assert_allclose(
        length_cdf(X, HomogeneousNetwork([3, width], output_var=1.5)), exact, atol=1e-13, rtol=0
    )
    slope_one = length_cdf(
        X, HomogeneousNetwork([3, width], hidden_var=1.5, negative_slope=1.0, output=None)
    )
    np.testing.assert_allclose(slope_one, exact, atol=1e-13, rtol=0)


@pytest.mark.parametrize("width", [1, 2, 7, 100, 1000])
def test_one_relu_layer_is_a_chi_square_mixture(width):
    k = np.arange(1, width + 1)
    exact = stats.binom.pmf(k, width, 0.5) @ stats.chi2.cdf(SQUARES * 3 / 2, k[:, None])
    exact += np.where(X >= 0, 0.5**width, 0.0)
    np.testing.assert_allclose(
        length_cdf(X, HomogeneousNetwork([3, width], output=None)), exact, atol=1e-12, rtol=0
    )


def test_two_layers_against_quadrature():
    # ||Ju||^2 = (2/2) chi^2_K (1/3) chi^2_2, exponential given K:
    # P(> x^2) = E e^{-3 x^2 / (2 chi^2_K)}
    with mp.workdps(20):
        for x in (0.05, 0.4, 1.0, 3.0):
            beyond = mp.mpf(0)
            for k in range(1, 4):
                density = lambda c, k=k: (
                    c ** (mp.mpf(k) / 2 - 1)
                    * mp.exp(-c / 2)
                    / (2 ** (mp.mpf(k) / 2) * mp.gamma(mp.mpf(k) / 2))
                )
                integral = mp.quad(
                    lambda c, d=density, x=x: d(c) * mp.exp(-3 * mp.mpf(x) ** 2 / (2 * c)),
                    [0, 0.05, 1, 5, 30, 200],
                )
                beyond += mp.binomial(3, k) / 8 * integral
            assert length_cdf(x, HomogeneousNetwork([2, 3, 2])) == pytest.approx(
                1 - float(beyond), abs=1e-12
            )


@pytest.mark.parametrize("slope", [0.01, 0.4, -0.4, 3.0])
def test_one_leaky_neuron(slope):
    exact = 0.5 * (stats.chi2.cdf(SQUARES, 1) + stats.chi2.cdf(SQUARES / slope**2, 1))
    computed = length_cdf(
        X, HomogeneousNetwork([1, 1], hidden_var=1.0, negative_slope=slope, output=None)
    )
    np.testing.assert_allclose(computed, exact, atol=1e-12, rtol=0)


def test_two_leaky_neurons_against_quadrature():
    # K = 1: chi^2_1 + a^2 chi^2_1; in polar coordinates 1 - E exp(-x^2 / (2 (cos^2 + a^2 sin^2)))
    slope, x = 0.1, 0.7
    # trapezoidal rule of a periodic analytic function
    angle = (np.arange(4000) + 0.5) * math.pi / 4000
    mixed = 1 - np.exp(-(x**2) / (2 * (np.cos(angle) ** 2 + slope**2 * np.sin(angle) ** 2))).mean()
    ends = stats.chi2.cdf([x**2, x**2 / slope**2], 2)
    computed = length_cdf(
        x, HomogeneousNetwork([2, 2], hidden_var=2.0, negative_slope=slope, output=None)
    )
    assert computed == pytest.approx(0.5 * mixed + 0.25 * ends.sum(), abs=1e-12)


@pytest.mark.parametrize(
    "widths", [[10] * 5, [3, 8, 4, 16, 2], [2, 5, 5, 1], [100, *[50] * 10, 10], [4, 300, 300, 7]]
)
@pytest.mark.slow_cases("widths0", "widths1", "widths2")
def test_moments_of_the_distribution_are_the_moments(widths):
    # E min(L, b) = int_0^b P(L > x) dx, with b out in the tail; Gauss-Legendre in ln x
    nodes, weights = np.polynomial.legendre.leggauss(300)
    low, high = math.log(1e-9), math.log(200.0 * math.sqrt(widths[-1] / widths[0]))
    log_x = 0.5 * (high - low) * nodes + 0.5 * (high + low)
    x = np.exp(log_x)
    survival = 1.0 - length_cdf(x, HomogeneousNetwork(widths))
    for m in (1, 2):
        integral = 0.5 * (high - low) * (weights * survival * m * x**m).sum()
        integral += (1.0 - length_cdf(0.0, HomogeneousNetwork(widths))) * math.exp(m * low)
        assert integral == pytest.approx(length_moment(HomogeneousNetwork(widths), m), rel=3e-8)


def test_the_atom_of_dead_networks_and_monotonicity():
    widths = [3, 2, 4, 3]
    alive = (1 - 2.0**-2) * (1 - 2.0**-4)
    assert length_cdf(0.0, HomogeneousNetwork(widths)) == pytest.approx(1 - alive, rel=1e-14)
    assert length_cdf(-1e-300, HomogeneousNetwork(widths)) == 0.0
    assert length_cdf(0.0, HomogeneousNetwork(widths, negative_slope=0.1)) == 0.0
    values = length_cdf(np.geomspace(1e-8, 1e4, 200), HomogeneousNetwork(widths))
    assert (np.diff(values) > -1e-13).all()
    assert values[0] == pytest.approx(1 - alive, abs=1e-6)
    assert values[-1] == pytest.approx(1.0, abs=1e-12)
    assert length_cdf(0.0, HomogeneousNetwork([3, 2, 4], hidden_var=0.0)) == 1.0


def test_scales_and_shapes():
    assert isinstance(length_cdf(0.5, HomogeneousNetwork([3, 4, 2])), float)
    values = length_cdf(np.array([[0.5, 1.0], [1.5, 2.0]]), HomogeneousNetwork([3, 4, 2]))
    assert values.shape == (2, 2)
    assert values.dtype == np.float64
    np.testing.assert_allclose(
        length_cdf(2.0 * values, HomogeneousNetwork([3, 4, 2], output_var=4.0)),
        length_cdf(values, HomogeneousNetwork([3, 4, 2])),
        atol=1e-13,
    )


def test_deep_networks_approach_a_lognormal():
    # 100 layers of width 50: the log has a small skewness, the normal law holds to a few per cent.
    from deepinit.theory.lengths import log_length_moments

    widths = [50] * 102
    mean, variance, _ = log_length_moments(HomogeneousNetwork(widths))
    for z in (-1.0, 0.0, 1.0):
        x = math.exp(0.5 * (mean + z * math.sqrt(variance)))
        assert length_cdf(x, HomogeneousNetwork(widths)) == pytest.approx(
            stats.norm.cdf(z), abs=0.02
        )
        assert length_cdf(x, HomogeneousNetwork(widths)) != pytest.approx(
            stats.norm.cdf(z), abs=1e-5
        )


@pytest.mark.parametrize("slope", [1e-3, 0.1, 0.9])
@pytest.mark.parametrize("width", [50, 400, 3000])
def test_wide_leaky_layers_against_conditioning_on_the_units(width, slope):
    """K units on: chi^2_K + a^2 chi^2_{n-K}, by the moments of the law: E L^m = int m x^{m-1} P(L >
    x) dx."""
    nodes, weights = np.polynomial.legendre.leggauss(200)
    x = 1.0 + 0.999 * nodes  # lengths concentrate at 1, standard deviation below 0.16
    survival = 1.0 - length_cdf(
        x, HomogeneousNetwork([width, width], negative_slope=slope, output=None)
    )
    for m in (1, 2, 5):
        integral = 0.999 * (weights * survival * m * x ** (m - 1)).sum() + 0.001**m
        exact = length_moment(
            HomogeneousNetwork([width, width], negative_slope=slope, output=None), m
        )
        assert integral == pytest.approx(exact, rel=1e-7)


def test_bad_points_and_networks_are_refused():
    with pytest.raises(SpecError, match="law='orthogonal'"):
        length_cdf(1.0, HomogeneousNetwork([3, 4], law="orthogonal"))
    with pytest.raises(SpecError, match="nan"):
        length_cdf([1.0, math.nan], HomogeneousNetwork([3, 4]))
    with pytest.raises(SpecError, match="real numbers"):
        length_cdf("one", HomogeneousNetwork([3, 4]))
    with pytest.raises(SpecError, match="integers >= 1"):
        length_cdf(1.0, HomogeneousNetwork([3, 0]))
    with pytest.raises(SpecError, match="hidden_var"):
        length_cdf(1.0, HomogeneousNetwork([3, 4], hidden_var=-1.0))
