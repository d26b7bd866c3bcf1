import math

import mpmath as mp
import numpy as np
import pytest
from statistical import assert_mean, assert_value

from deepinit.core.errors import SpecError
from deepinit.theory.lengths import (
    HomogeneousNetwork,
    circle_output_relative_variance,
    circle_relative_variance,
    circle_relative_variances_by_layer,
    length_moment,
)


def test_published_digits():
    # printed to six digits, the last one cut or off by one
    values = [circle_relative_variance(depth) for depth in (1, 2, 3, 4)]
    np.testing.assert_allclose(
        values, [0.250000, 0.437218, 0.613717, 0.790396], atol=1.6e-6, rtol=0
    )
    assert values[0] == pytest.approx(0.25, abs=1e-13)


@pytest.mark.parametrize(
    ("depth", "output_width", "published"),
    [(2, 1, 0.0607574), (2, 2, 0.0299389), (2, 10, 0.0058399), (4, 3, 0.0107007)],
)
def test_published_output_digits(depth, output_width, published):
    assert circle_output_relative_variance(depth, output_width) == pytest.approx(
        published, abs=1e-7
    )


def kernel(layer):
    """The correlation of the layer's preactivations at distance D, from the arc-cosine recursion in
    the correlation."""

    def correlation(distance):
        c = mp.cos(distance)
        for _ in range(layer - 1):
            c = (mp.sqrt(1 - c * c) + (mp.pi - mp.acos(c)) * c) / mp.pi
        return c

    return correlation


def excess(layer, distance):
    """4 M - 1 by regression of the derivatives on the two preactivations, then a quadrant integral
    in polar coordinates."""
    c, first, second = (mp.diff(kernel(layer), distance, order) for order in range(3))
    determinant = 1 - c * c
    variance = 1 - first**2 / determinant
    covariance = -second - c * first**2 / determinant
    theta = mp.acos(c)

    def integrand(angle):
        z, other = mp.sin(angle), mp.sin(theta + angle)
        a, b = first * (other - c * z) / determinant, -first * (z - c * other) / determinant
        mixed = 8 * a**2 * b**2 + 2 * variance * (a**2 + b**2) + variance**2
        return mixed + 8 * a * b * covariance + 2 * covariance**2

    return 4 * mp.quad(integrand, [0, mp.pi - theta], maxdegree=3) / (2 * mp.pi) - 1


def test_layers_against_regression_in_the_correlation():
    nodes, weights = np.polynomial.legendre.leggauss(20)
    total = mp.mpf(0)
    with mp.workdps(30):
        for layer in (1, 2, 3):
            values = [excess(layer, mp.pi * (mp.mpf(float(node)) + 1) / 2) for node in nodes]
            total += (
                sum(mp.mpf(float(w)) * value for w, value in zip(weights, values, strict=True)) / 8
            )
            assert circle_relative_variance(layer) == pytest.approx(float(total), abs=1e-9)


def test_output_layer_against_quadrature():
    nodes, weights = np.polynomial.legendre.leggauss(40)
    with mp.workdps(30):
        for depth, output_width in ((1, 3), (4, 3), (3, 19), (3, 20), (2, 1000)):
            rho = [
                -mp.diff(kernel(depth + 1), mp.pi * (mp.mpf(float(node)) + 1) / 2, 2)
                for node in nodes
            ]
            values = [mp.hyp2f1(-0.5, -0.5, mp.mpf(output_width) / 2, r * r) - 1 for r in rho]
            exact = float(
                sum(mp.mpf(float(w)) * value for w, value in zip(weights, values, strict=True)) / 2
            )
            assert circle_output_relative_variance(depth, output_width) == pytest.approx(
                exact, rel=1e-6
            )


def test_wide_outputs_average_out():
    # 2F1(-1/2, -1/2; n/2; x) - 1 = x/(2n) + O(n^-2)
    ratio = circle_output_relative_variance(3, 4000) / circle_output_relative_variance(3, 8000)
    assert ratio == pytest.approx(2.0, rel=1e-3)
    # without hidden layers points a right angle apart are independent; rho = cos D, E rho^2 = 1/2
    assert circle_output_relative_variance(0, 10_000) == pytest.approx(0.25 / 10_000, rel=1e-3)


def test_unequal_widths_add_up():
    v = [circle_relative_variance(depth) for depth in (1, 2, 3)]
    by_layer = circle_relative_variances_by_layer([10, 20, 50])
    expected = np.cumsum([v[0] / 10, (v[1] - v[0]) / 20, (v[2] - v[1]) / 50])
    np.testing.assert_allclose(by_layer, expected, rtol=1e-13)
    np.testing.assert_allclose(
        circle_relative_variances_by_layer([7] * 3), np.array(v) / 7, rtol=1e-13
    )


@pytest.mark.exhaustive
@pytest.mark.slow
def test_circles_through_sampled_networks():
    """The length after two layers of 100 neurons: mean to 0.8 %, relative variance to 16 %."""
    rng = np.random.default_rng(11)
    width, networks, points = 100, 2_000, 64
    angle = 2 * math.pi * np.arange(points) / points
    circle = np.stack([np.cos(angle), np.sin(angle)])
    tangent = np.stack([-np.sin(angle), np.cos(angle)])
    lengths = np.empty((networks, 2))
    for row in lengths:
        x, speed = circle, tangent
        for layer in range(2):
            weights = rng.standard_normal((width, len(x))) * math.sqrt(2.0 / len(x))
            z = weights @ x
            x, speed = np.maximum(z, 0.0), (weights @ speed) * (z > 0)
            row[layer] = np.linalg.norm(speed, axis=0).mean()
    logs = np.log(lengths)
    predicted = circle_relative_variances_by_layer([width] * 2)
    for layer in (0, 1):
        mean = length_moment(HomogeneousNetwork([2, *[width] * (layer + 1)], output=None))
        infinite = math.sqrt(width / 2)
        assert_mean(
            lengths[:, layer], mean, rejects=infinite if layer else 0.98 * mean, resolves=0.02
        )
    error = predicted * math.sqrt(2 / networks)
    # a second layer that added nothing, and the variance at one point
    for layer, rival in ((0, 1.25 / width), (1, predicted[0]), (1, 2 * 1.25 / width)):
        found = logs[:, layer].var()
        assert_value(found, error[layer], predicted[layer], rejects=rival, resolves=0.16)
        assert abs(found / rival - 1) > 5 * math.sqrt(2 / networks)


@pytest.mark.parametrize("depth", [0, -1, 1.5, "3", None])
def test_bad_depths_are_refused(depth):
    with pytest.raises(SpecError, match="depth"):
        circle_relative_variance(depth)


def test_bad_widths_are_refused():
    with pytest.raises(SpecError, match="depth"):
        circle_output_relative_variance(-1, 2)
    with pytest.raises(SpecError, match="output_width"):
        circle_output_relative_variance(2, 0)
    for widths in ([], [3, 0], [2.5], 4):
        with pytest.raises(SpecError, match="integers >= 1"):
            circle_relative_variances_by_layer(widths)
