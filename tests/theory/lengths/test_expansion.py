import itertools
import math

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    expansion,
    layer_factor_moment,
    length_moment,
    log_factor_series,
    output_factor_moment,
    volume_moment,
)


def test_published_coefficients():
    np.testing.assert_allclose(
        log_factor_series(4), [-5 / 8, -3 / 8, -55 / 192, -15 / 64], rtol=1e-15
    )
    assert log_factor_series(1, law="orthogonal")[0] == -3 / 8
    for m in (1, 2, 3, 4, 6, 0.5, 2.75):
        assert log_factor_series(1, m)[0] == pytest.approx(5 * m * (m - 2) / 8, rel=1e-15)
        for d in (1, 2, 3, 5):
            rate = m * d * ((m - 2) * (d + 4) - 2 * (d - 1)) / 8
            assert log_factor_series(1, m, d)[0] == pytest.approx(rate, rel=1e-14)
    for a in (0.25, 0.5, 2.0):
        spread = 4 * (3 * (1 + a**4) / 2 - (1 + a**2) ** 2 / 4) / (1 + a**2) ** 2
        assert log_factor_series(1, negative_slope=a)[0] == pytest.approx(-spread / 8, rel=1e-14)


def test_even_moments_have_the_series_of_their_polynomials():
    # ln(1 + 5/n) and ln(1 + 15/n + 44/n^2)
    np.testing.assert_allclose(log_factor_series(4, 4), [5, -25 / 2, 125 / 3, -625 / 4], rtol=1e-14)
    a, b = 15.0, 44.0
    sixth = [a, b - a**2 / 2, -a * b + a**3 / 3, -(b**2) / 2 + a**2 * b - a**4 / 4]
    np.testing.assert_allclose(log_factor_series(4, 6), sixth, rtol=1e-13)
    np.testing.assert_allclose(log_factor_series(5, 2), 0.0, atol=0)


@pytest.mark.parametrize("law", ["normal", "orthogonal"])
@pytest.mark.parametrize("slope", [0.0, 0.5])
@pytest.mark.parametrize("m", [0.5, 1, 3, 4])
def test_error_order_of_the_series(m, slope, law):
    """Truncated at order p, the error falls like n^{-p-1}."""
    widths = np.array([40, 80, 160])
    exact = np.log(layer_factor_moment(widths, m, negative_slope=slope, law=law))
    coefficients = log_factor_series(4, m, negative_slope=slope, law=law)
    for order in (1, 2, 3, 4):
        partial = sum(coefficients[p] / widths ** (p + 1.0) for p in range(order))
        error = np.abs(exact - partial)
        if error[-1] < 1e-13:
            continue
        observed = np.log2(error[1] / error[2])
        assert observed == pytest.approx(order + 1, abs=0.35)


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_error_order_of_volumes(m, d):
    for order, law in itertools.product((1, 2, 3, 4), ("normal", "orthogonal")):
        errors = []
        for n in (60, 120):
            widths = [n, 2 * n, n, 3 * n, n]
            exact = volume_moment(HomogeneousNetwork(widths, law=law), d, m)
            errors.append(
                abs(
                    math.log(
                        expansion(
                            HomogeneousNetwork(widths, law=law), order, m, d, expand_output=True
                        )
                        / exact
                    )
                )
            )
        if errors[1] > 1e-12:
            assert math.log2(errors[0] / errors[1]) == pytest.approx(order + 1, abs=0.4)


def test_series_is_exact_to_rounding_for_wide_layers():
    for n in (500, 1000, 10000):
        series = log_factor_series(4)
        value = math.exp(sum(c / n ** (p + 1) for p, c in enumerate(series)))
        assert layer_factor_moment(n, 1) == pytest.approx(value, rel=2e-14)


def test_first_order_is_the_exponential_with_the_exact_constant():
    widths = (3, 8, 4, 16, 2)
    first = (
        math.exp(-5 / 8 * (1 / 8 + 1 / 4 + 1 / 16)) * output_factor_moment(2, 1) * math.sqrt(2 / 3)
    )
    assert expansion(HomogeneousNetwork(widths)) == pytest.approx(first, rel=1e-14)
    assert expansion(HomogeneousNetwork(widths)) > length_moment(HomogeneousNetwork(widths))
    scaled = expansion(HomogeneousNetwork(widths, hidden_var=3.0, output_var=0.5))
    assert scaled == pytest.approx(first * 1.5**1.5 * math.sqrt(0.5), rel=1e-14)
    assert expansion(HomogeneousNetwork(widths), 0) == pytest.approx(
        output_factor_moment(2, 1) * math.sqrt(2 / 3), rel=1e-14
    )
    output = math.exp(-1 / (4 * 2) + 1 / (24 * 2**3))
    assert expansion(HomogeneousNetwork(widths), 3, expand_output=True) / expansion(
        HomogeneousNetwork(widths), 3
    ) == pytest.approx(output / output_factor_moment(2, 1), rel=1e-14)


def test_output_options_of_the_expansion():
    widths = (50, 60, 70)
    for law, output, slope in itertools.product(
        ("normal", "orthogonal"), ("linear", "relu", None), (0.0, 0.3)
    ):
        exact = length_moment(
            HomogeneousNetwork(
                widths, law=law, output=output, negative_slope=slope, output_var=1.2
            ),
            1,
        )
        value = expansion(
            HomogeneousNetwork(
                widths, law=law, output=output, negative_slope=slope, output_var=1.2
            ),
            4,
        )
        assert value == pytest.approx(exact, rel=2e-8)
    assert expansion(HomogeneousNetwork(widths), 3, 0) == 1.0


@pytest.mark.parametrize("order", [-1, 1.5, 9, "2", None])
def test_bad_orders_are_refused(order):
    with pytest.raises(SpecError, match="from 0 to 8"):
        expansion(HomogeneousNetwork([3, 4, 5]), order)
    with pytest.raises(SpecError, match="from 0 to 8"):
        log_factor_series(order)


def test_bad_series_are_refused():
    with pytest.raises(SpecError, match="a finite number >= 0"):
        log_factor_series(2, -1)
    with pytest.raises(SpecError, match=r"d=.*integers >= 1"):
        log_factor_series(2, 1, 0)
    with pytest.raises(SpecError, match=r"law=.*normal, orthogonal"):
        log_factor_series(2, law="sparse")
    with pytest.raises(SpecError, match="d = 1 with leaky"):
        expansion(HomogeneousNetwork([3, 4, 5], negative_slope=0.1), 1, 1, 2)
