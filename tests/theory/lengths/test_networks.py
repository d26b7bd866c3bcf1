"""Moments of lengths of networks: published digits, scales, curves, limits."""

import math

import numpy as np
import pytest

from deepinit.theory.lengths import (
    HomogeneousNetwork,
    expansion,
    layer_factor_moment,
    length_moment,
    length_moments_by_layer,
    log_length_moments,
    log_length_moments_by_layer,
    output_factor_moment,
    price_tanner_bound,
)

# widths; moments 1 to 4; mean and variance of log ||Ju||^2; survival
NETWORKS = [
    (
        [10] * 5,
        (0.7988826502625548, 1, 1.752769795139356, 4.05),
        (-1.025703276078, 2.821525714895, 0.9970731725916),
    ),
    (
        [5, *[20] * 5, 5],
        (0.8099318460239121, 1, 1.767263672147905, 4.2724609375),
        (-0.8990677150741, 2.0491481311, 0.9999952316375),
    ),
    (
        [3, 8, 4, 16, 2],
        (0.5354771603177269, 2 / 3, 1.386423809248365, 4.265625),
        (-2.274428024782, 6.237879066653, 0.9338236413896),
    ),
    (
        [100, *[50] * 10, 10],
        (0.2717766571328055, 0.1, 0.04884013524605182, 0.0311249095212),
        (-2.923293145494, 1.30300428922, 1 - 8.9e-15),
    ),
    (
        [2, 5, 5, 1],
        (0.4268197288428127, 0.5, 1.009194136128704, 3),
        (-3.210295755953, 9.659339724699, 0.9384765625),
    ),
    (
        [30, *[16] * 4, 30],
        (0.8430450024089732, 1, 1.574519032207179, 3.165380859375),
        (-0.7392928370696, 1.747311804275, 0.9999389662407),
    ),
]

# width, hidden layers; mean, first order, second order, Price-Tanner, exp(E log ||Ju||), m = 3, 4
DEPTHS = [
    (10, 1, 0.9125738327, 0.9162566, 0.9128271, 0.450158, 0.8143292, 1.2636024, 1.8),
    (10, 5, 0.699355456, 0.7135814, 0.7003264, 0.0456106, 0.4402940, 2.4313044, 9.1125),
    (10, 20, 0.2578162584, 0.2794425, 0.2592509, 8.52e-6, 0.0438812, 28.294218, 3990.3081),
    (10, 100, 0.001258662857, 0.0018828686, 0.0012940754, 1.1e-25, 2.0e-7, 1.3685972e7, 4.8787e17),
    (50, 1, 0.9825028872, 0.9826526, 0.9825052, 0.450158, 0.9647020, 1.0525705, 1.144),
    (50, 10, 0.8767591403, 0.8780957, 0.8767796, 0.0026073, 0.7643262, 1.4610077, 2.6974922),
    (50, 50, 0.5285509058, 0.5325920, 0.5286125, 3.0e-13, 0.2715698, 6.2740373, 122.08649),
]
DEPTH_DIGITS = (
    (10, 7, 7, 6, 7, 8, 2),
    (9, 7, 7, 6, 7, 8, 5),
    (10, 7, 7, 3, 6, 8, 8),
    (10, 8, 8, 2, 2, 8, 5),
    (10, 7, 7, 6, 7, 8, 4),
    (10, 7, 7, 5, 7, 8, 8),
    (10, 7, 7, 2, 7, 8, 8),
)


@pytest.mark.parametrize(("widths", "moments", "logs"), NETWORKS)
def test_networks_against_published_digits(widths, moments, logs):
    computed = [length_moment(HomogeneousNetwork(widths), m) for m in (1, 2, 3, 4)]
    np.testing.assert_allclose(computed, moments, rtol=1e-12)
    np.testing.assert_allclose(log_length_moments(HomogeneousNetwork(widths)), logs, rtol=2e-12)


@pytest.mark.parametrize(("row", "digits"), list(zip(DEPTHS, DEPTH_DIGITS, strict=True)))
def test_depth_table(row, digits):
    n, hidden, *published = row
    widths = [n] * (hidden + 2)
    computed = (
        length_moment(HomogeneousNetwork(widths)),
        expansion(HomogeneousNetwork(widths), 1),
        expansion(HomogeneousNetwork(widths), 2),
        price_tanner_bound(HomogeneousNetwork(widths)),
        math.exp(0.5 * log_length_moments(HomogeneousNetwork(widths)).mean),
        length_moment(HomogeneousNetwork(widths), 3),
        length_moment(HomogeneousNetwork(widths), 4),
    )
    for value, expected, places in zip(computed, published, digits, strict=True):
        # one unit of the last printed digit
        assert abs(value - expected) <= 10.0 ** (math.floor(math.log10(expected)) + 1 - places)


def test_formula_with_every_scale():
    widths, hidden_var, output_var = (3, 8, 4, 16, 2), 1.3, 0.7
    for m in (1, 2.5):
        product = math.prod(layer_factor_moment(n, m) for n in widths[1:-1]) * output_factor_moment(
            2, m
        )
        scale = (output_var * 2 / 3 * (hidden_var / 2) ** 3) ** (m / 2)
        value = length_moment(
            HomogeneousNetwork(widths, hidden_var=hidden_var, output_var=output_var), m
        )
        assert value == pytest.approx(scale * product, rel=1e-13)


def test_by_layer_ends_at_the_network_and_stops_at_every_layer():
    widths = (3, 8, 4, 16, 2)
    by_layer = length_moments_by_layer(
        HomogeneousNetwork(widths, hidden_var=1.9, output_var=1.4), 1
    )
    assert by_layer.shape == (4,)
    assert by_layer[-1] == length_moment(
        HomogeneousNetwork(widths, hidden_var=1.9, output_var=1.4), 1
    )
    for layer in (1, 2, 3):
        prefix = length_moment(
            HomogeneousNetwork(widths[: layer + 1], hidden_var=1.9, output=None), 1
        )
        assert by_layer[layer - 1] == pytest.approx(prefix, rel=1e-15)
    logs = log_length_moments_by_layer(HomogeneousNetwork(widths))
    for layer in (1, 2, 3):
        np.testing.assert_allclose(
            [values[layer - 1] for values in logs],
            log_length_moments(HomogeneousNetwork(widths[: layer + 1], output=None)),
            rtol=1e-14,
        )
    assert log_length_moments(HomogeneousNetwork(widths)) == tuple(values[-1] for values in logs)


def test_output_conventions():
    widths = [3, 5, 2, 4]
    assert length_moment(HomogeneousNetwork(widths)) == pytest.approx(0.67243, abs=6e-6)
    assert length_moment(HomogeneousNetwork(widths, output_var=2.0)) == pytest.approx(
        0.95096, abs=6e-6
    )
    assert length_moment(
        HomogeneousNetwork(widths, output_var=2.0, output="relu")
    ) == pytest.approx(0.59987, abs=6e-6)
    assert length_moment(HomogeneousNetwork(widths, output=None)) == pytest.approx(
        0.59987, abs=6e-6
    )
    # [3, 5, 2, 4] at hidden variance 3: 3/2 times the mean of the two hidden layers
    assert length_moment(HomogeneousNetwork(widths, hidden_var=3.0)) == pytest.approx(
        1.5 * length_moment(HomogeneousNetwork(widths)), rel=1e-14
    )
    assert length_moment(HomogeneousNetwork(widths, hidden_var=3.0)) == pytest.approx(
        1.00864, abs=6e-6
    )


def test_curves_with_known_means():
    assert length_moment(HomogeneousNetwork([3, 7, 9, 4])) == pytest.approx(0.91404, abs=6e-6)
    assert length_moment(HomogeneousNetwork([2, 6, 6, 6, 5])) == pytest.approx(1.06581, abs=6e-6)
    assert length_moment(
        HomogeneousNetwork([5] * 4, law="orthogonal", output=None)
    ) == pytest.approx(0.76376, abs=6e-6)


def test_rectangular_orthogonal_layers():
    # A wider linear layer is an isometry up to scale; a narrower one a projection.
    assert length_moment(HomogeneousNetwork([3, 7], law="orthogonal"), 1) == pytest.approx(
        math.sqrt(7 / 3), rel=1e-13
    )
    assert log_length_moments(HomogeneousNetwork([3, 7], law="orthogonal")).variance == 0.0
    ratio = math.gamma(1.5) * math.gamma(3.5) / (math.gamma(1.0) * math.gamma(4.0))
    assert length_moment(HomogeneousNetwork([7, 2], law="orthogonal"), 1) == pytest.approx(
        ratio, rel=1e-13
    )
    for widths in ([3, 7, 2], [7, 2, 7], [5, 5, 5]):
        assert length_moment(HomogeneousNetwork(widths, law="orthogonal"), 2) == pytest.approx(
            widths[-1] / widths[0], rel=1e-13
        )


def test_default_variance_is_critical_for_the_slope():
    for slope in (0.0, 0.3, 1.0):
        assert length_moment(
            HomogeneousNetwork([6, 9, 6, 6], negative_slope=slope), 2
        ) == pytest.approx(1.0, rel=1e-13)
    assert length_moment(HomogeneousNetwork([6, 9, 6], negative_slope=0.3), 1) == length_moment(
        HomogeneousNetwork([6, 9, 6], negative_slope=0.3, hidden_var=2 / (1 + 0.3**2)), 1
    )


def test_deep_networks_neither_warn_nor_break():
    widths = [5] * 10_002
    with np.errstate(all="raise"):
        assert length_moment(HomogeneousNetwork(widths)) == 0.0
        assert length_moment(HomogeneousNetwork(widths), 4) == math.inf
        assert length_moment(HomogeneousNetwork(widths), 2) == pytest.approx(1.0, rel=1e-10)
        mean, variance, alive = log_length_moments(HomogeneousNetwork(widths))
    one = log_length_moments(HomogeneousNetwork([5, 5], output=None))
    assert mean == pytest.approx(10_000 * one.mean, rel=1e-3)
    assert variance == pytest.approx(10_000 * one.variance, rel=1e-3)
    assert alive == pytest.approx((1 - 2.0**-5) ** 10_000, rel=1e-10)


def test_zero_variances():
    assert length_moment(HomogeneousNetwork([3, 4, 5], hidden_var=0.0)) == 0.0
    assert length_moment(HomogeneousNetwork([3, 4, 5], output_var=0.0)) == 0.0
    assert length_moment(HomogeneousNetwork([3, 4, 5], output_var=0.0), 0) == 1.0
    assert expansion(HomogeneousNetwork([3, 4, 5], hidden_var=0.0), 1) == 0.0
    assert price_tanner_bound(HomogeneousNetwork([3, 4, 5], output_var=0.0)) == 0.0
    mean, _, alive = log_length_moments(HomogeneousNetwork([3, 4, 5], hidden_var=0.0))
    assert math.isnan(mean)
    assert alive == 0.0
