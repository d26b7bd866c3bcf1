import math

import mpmath as mp
import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import (
    growth_threshold,
    layer_factor_moment,
    log_factor_series,
    output_factor_moment,
)
from deepinit.theory.numerics.gamma_functions import half_binomial, log_gamma_ratio, log_survival

# n, E sqrt(X_n), E X_n^{3/2}, E sqrt(Y_n)
PUBLISHED = [
    (1, 0.5641895835477563, 2.256758334191, 0.7978845608028654),
    (2, 0.7122708147303077, 1.7378701637895, 0.886226925452758),
    (3, 0.7909162753990331, 1.5275433828089, 0.9213177319235613),
    (4, 0.8385610589667975, 1.4114490606549, 0.9399856029866252),
    (5, 0.8697805884416435, 1.3374415998064, 0.9515328619481446),
    (8, 0.9190510747660053, 1.2192703310114, 0.9693106997139541),
    (10, 0.9356372179726212, 1.1777611494783, 0.9753500771452293),
    (16, 0.9602123830472775, 1.1133494059005, 0.9845064054718316),
    (20, 0.9682888630853734, 1.0912877056597, 0.9875829288261563),
    (32, 0.9802903923901311, 1.0576288762145, 0.9922191984572349),
    (50, 0.987427374420205, 1.0371041330508, 0.9950128107045548),
    (64, 0.9901901489596014, 1.0290551123063, 0.9961015277498286),
    (100, 0.9937319379547631, 1.018650901272, 0.9975031639551051),
    (128, 0.995106175813374, 1.0145879358018, 0.9980488009354713),
    (256, 0.9975558463945018, 1.0073090861132, 0.999023916663033),
    (1000, 0.9993748202196746, 1.0018740079273, 0.9997500312890522),
]


def exact_factor_moment(n, m, spherical=False):
    """(4/n)^{m/2} 2^-n sum_k C(n,k) Gamma((k+m)/2) / Gamma(k/2), thirty digits."""
    with mp.workdps(30):
        m = mp.mpf(m)
        chi = [0, mp.gamma((1 + m) / 2) / mp.sqrt(mp.pi), mp.gamma(1 + m / 2)]
        total, binomial = mp.mpf(0), mp.mpf(1)
        for k in range(1, n + 1):
            binomial = binomial * (n - k + 1) / k
            if k > 2:
                chi.append(chi[k - 2] * (k - 2 + m) / (k - 2))
            total += binomial * chi[k]
        scale = mp.mpf(2) ** (m / 2) / chi[n] if spherical else (mp.mpf(4) / n) ** (m / 2)
        return float(total * scale / mp.mpf(2) ** n)


@pytest.mark.parametrize("m", [0.5, 1, 1.5, 2, 2.5, 3, 4, 20])
def test_relu_factor_at_every_width_to_fifty(m):
    widths = np.arange(1, 51)
    expected = [exact_factor_moment(int(n), m) for n in widths]
    np.testing.assert_allclose(layer_factor_moment(widths, m), expected, rtol=1e-14 * (1 + m))


@pytest.mark.parametrize("m", [1, 2, 3, 4])
@pytest.mark.parametrize("width", [499, 500, 501, 1000, 9999, 10000])
def test_relu_factor_at_large_widths(width, m):
    assert layer_factor_moment(width, m) == pytest.approx(exact_factor_moment(width, m), rel=2e-14)


@pytest.mark.parametrize("m", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 2, 5, 50, 1000])
def test_orthogonal_factor(width, m):
    expected = exact_factor_moment(width, m, spherical=True)
    assert layer_factor_moment(width, m, law="orthogonal") == pytest.approx(expected, rel=2e-14)


@pytest.mark.parametrize("width", [1, 2, 3, 10, 499, 1000, 9999, 10000])
def test_output_factor(width):
    for m in (0.5, 1, 2, 3, 7.3):
        with mp.workdps(30):
            half = mp.mpf(m) / 2
            exact = (
                (mp.mpf(2) / width) ** half
                * mp.gamma(mp.mpf(width) / 2 + half)
                / mp.gamma(mp.mpf(width) / 2)
            )
        assert output_factor_moment(width, m) == pytest.approx(float(exact), rel=1e-14)


def test_factors_against_published_digits():
    widths, first, third, output = (np.array(column) for column in zip(*PUBLISHED, strict=True))
    np.testing.assert_allclose(layer_factor_moment(widths, 1), first, rtol=1e-14)
    np.testing.assert_allclose(layer_factor_moment(widths, 3), third, atol=0.6e-13, rtol=0)
    np.testing.assert_allclose(output_factor_moment(widths, 1), output, rtol=1e-14)


@pytest.mark.parametrize("n", [1, 2, 7, 100, 10**4, 10**6])
def test_even_moments_are_polynomials(n):
    polynomials = {
        2: 1,
        4: 1 + 5 / n,
        6: 1 + 15 / n + 44 / n**2,
        8: 1 + 30 / n + 251 / n**2 + 558 / n**3,
    }
    for m, polynomial in polynomials.items():
        assert layer_factor_moment(n, m) == pytest.approx(polynomial, rel=1e-13)


def leaky_even_moment(n, s, slope):
    """E X^s for whole s: binomial sums of exact chi-square moments."""
    square = slope * slope

    def chi(k, power):
        return math.prod(k + 2 * i for i in range(power))

    total = sum(
        math.comb(n, k)
        * sum(
            math.comb(s, j) * chi(k, j) * square ** (s - j) * chi(n - k, s - j)
            for j in range(s + 1)
        )
        for k in range(n + 1)
    )
    return total / 2**n * (2 / ((1 + square) * n)) ** s


@pytest.mark.parametrize("slope", [1e-3, 0.3, 1.0, -0.5, 2.0])
@pytest.mark.parametrize("width", [1, 2, 3, 8, 60, 300])
def test_leaky_even_moments(width, slope):
    for s in (1, 2, 3, 5):
        expected = leaky_even_moment(width, s, slope)
        assert layer_factor_moment(width, 2 * s, negative_slope=slope) == pytest.approx(
            expected, rel=2e-13
        )


@pytest.mark.parametrize(
    ("width", "slope"), [(1, 0.01), (2, 0.3), (5, 0.3), (40, 0.1), (1000, 0.3), (10000, 0.9)]
)
def test_leaky_mean_against_its_laplace_transform(width, slope):
    with mp.workdps(45):  # 1 - E e^{-tX} is as small as e^-76
        c = 2 / ((1 + mp.mpf(slope) ** 2) * width)

        def laplace(t):
            return (
                (1 + 2 * t * c) ** -0.5 / 2 + (1 + 2 * t * c * mp.mpf(slope) ** 2) ** -0.5 / 2
            ) ** width

        # E sqrt X = int_0^inf (1 - E e^{-tX}) t^{-3/2} dt / (2 sqrt pi); t = e^x, analytic in
        # |Im x| < pi
        step = mp.mpf(1) / 5
        total = sum(
            (1 - laplace(mp.exp(step * i))) * mp.exp(-step * i / 2) for i in range(-380, 540)
        )
        exact = float(step * total / (2 * mp.sqrt(mp.pi)))
    assert layer_factor_moment(width, 1, negative_slope=slope) == pytest.approx(exact, rel=1e-13)


@pytest.mark.parametrize("m", [0.5, 1, 3.3])
@pytest.mark.parametrize("width", [1, 2, 6, 1000])
def test_slope_one_is_the_linear_layer_and_reciprocal_slopes_agree(width, m):
    linear = output_factor_moment(width, m)
    assert layer_factor_moment(width, m, negative_slope=1.0) == pytest.approx(linear, rel=1e-13)
    assert layer_factor_moment(width, m, negative_slope=-1.0) == pytest.approx(linear, rel=1e-13)
    assert layer_factor_moment(width, m, negative_slope=1.0, law="orthogonal") == pytest.approx(
        1.0, rel=1e-13
    )
    four = layer_factor_moment(width, m, negative_slope=4.0)
    assert layer_factor_moment(width, m, negative_slope=0.25) == pytest.approx(four, rel=1e-13)


def test_small_slopes_reach_relu():
    values = np.array(
        [layer_factor_moment(4, 1, negative_slope=slope) for slope in (1e-3, 1e-5, 0.0)]
    )
    # The dead layer, of probability 2^-4, has length slope * E|z| sqrt(1/2): 0.04154 slope.
    lift = 2.0**-4 * math.sqrt(2.0) * output_factor_moment(4, 1)
    assert values[1] - values[2] == pytest.approx(1e-5 * lift, rel=0.01)
    assert values[0] > values[1] > values[2]


def test_leaky_check_value():
    assert layer_factor_moment(5, 1, negative_slope=0.3) == pytest.approx(0.907536, abs=6e-7)


def test_growth_threshold():
    np.testing.assert_allclose(growth_threshold([10, 50, 100]), [2.2846, 2.0513, 2.0253], atol=6e-5)
    width = 200
    assert growth_threshold(width) == pytest.approx(
        2 * math.exp(5 / (4 * width) + 3 / (4 * width**2)), rel=2 / width**3
    )


def test_mean_factor_stays_below_one_and_first_order_from_width_two():
    widths = np.arange(2, 400)
    factors = layer_factor_moment(widths, 1)
    assert (factors < np.exp(-5 / (8 * widths))).all()
    assert layer_factor_moment(1, 1) > math.exp(-5 / 8)


def test_shapes_and_types():
    assert isinstance(layer_factor_moment(3, 1), float)
    assert isinstance(growth_threshold(np.int64(3)), float)
    table = layer_factor_moment(np.array([[1, 2], [2, 3]]), 1)
    assert table.shape == (2, 2)
    assert table.dtype == np.float64
    assert table[0, 1] == table[1, 0] == layer_factor_moment(2, 1)


def test_moment_zero_is_one():
    assert layer_factor_moment(1, 0) == output_factor_moment(1, 0) == 1.0
    # The limit from above is the probability that a unit is on.
    assert layer_factor_moment(1, 1e-9) == pytest.approx(0.5, abs=1e-8)


def test_gamma_ratio_at_complex_arguments():
    for z in (0.5, 1.0, 3.5, 100.0, 5000.5):
        for s in (0.5, -0.2, 3.25, 2.0j, 40j, 1 - 7j, 300j):
            with mp.workdps(30):
                exact = complex(mp.gamma(mp.mpf(z) + s) / mp.gamma(mp.mpf(z)) * mp.mpf(z) ** (-s))
            computed = np.exp(log_gamma_ratio(z, s) - s * np.log(z))
            assert abs(computed - exact) < 1e-14 * (1 + abs(s)) * abs(exact)


def test_half_binomial_and_survival():
    for n in (1, 2, 9, 100, 101, 1000):
        k, weights = half_binomial(n)
        exact = np.array([math.comb(n, int(i)) / 2**n for i in k])
        np.testing.assert_allclose(weights, exact, rtol=1e-12)
        assert log_survival(n, 1) == pytest.approx(math.log1p(-(0.5**n)), rel=1e-15)
    assert log_survival(2, 2) == pytest.approx(math.log(0.25))
    assert log_survival(1, 2) == -math.inf


@pytest.mark.parametrize("width", [0, -3, 2.5, math.nan, math.inf, "8", None, [3, 0]])
def test_bad_widths_are_refused(width):
    for function in (
        lambda n: layer_factor_moment(n, 1),
        lambda n: output_factor_moment(n, 1),
        growth_threshold,
    ):
        with pytest.raises(SpecError, match="integers >= 1"):
            function(width)


@pytest.mark.parametrize("m", [-1, -0.5, math.nan, math.inf, "1", None, True])
def test_bad_moments_are_refused(m):
    for function in (layer_factor_moment, output_factor_moment):
        with pytest.raises(SpecError, match="a finite number >= 0"):
            function(4, m)


def test_unknown_laws_and_slopes_are_refused():
    with pytest.raises(SpecError, match=r"law=.*normal, orthogonal"):
        layer_factor_moment(4, 1, law="uniform")
    with pytest.raises(SpecError, match="negative_slope"):
        layer_factor_moment(4, 1, negative_slope=math.inf)
    with pytest.raises(SpecError, match="d = 1 with leaky"):
        log_factor_series(2, 1, 2, negative_slope=0.1)


def test_traced_widths_are_refused():
    import jax

    with pytest.raises(SpecError, match=r"width=.*traced"):
        jax.jit(lambda n: layer_factor_moment(n, 1))(4)
