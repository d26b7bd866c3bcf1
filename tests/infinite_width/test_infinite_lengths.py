"""Length of a curve at infinite width: references, symmetries, errors, wide networks."""

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate
from scipy.special import poch
from statistical import assert_mean

from deepinit.core import activations as act
from deepinit.core import curves
from deepinit.core.laws import normal
from deepinit.core.specs import MLP
from deepinit.infinite_width import lengths
from deepinit.infinite_width.lengths import (
    curve_length_moments,
    speed_product_excess,
    velocity_kernel,
)

BIAS = normal(0.3, scaling="absolute")
CIRCLE = curves.circle()
LINE = curves.line([1.0, -2.0, 0.0], [1.0, 2.0, 0.5])
TILTED = curves.circle_through([1.0, 0.3, -0.5], [-0.2, 1.1, 0.4], [0.5, -0.8, 1.3])
NODES = 0.3 + np.array([0.0, 1e-4, 1e-2, 0.1, 0.3, 0.6])


def _relative_variance(moments):
    return moments.variance / moments.mean**2


@pytest.mark.parametrize(("curve", "bias_law"), [(CIRCLE, None), (LINE, BIAS)])
@pytest.mark.exhaustive
def test_the_length_through_neural_tangents_is_that_of_the_recursion(curve, bias_law):
    spec = MLP((8, 8), bias_law=bias_law, output_width=2)
    ours, theirs = (
        curve_length_moments(spec, curve, 16, through=name)
        for name in ("recursion", "neural_tangents")
    )
    np.testing.assert_allclose(theirs, ours, rtol=1e-7, atol=1e-9)
    assert ours.variance > 0.01


def _three_layers(activation, bias_law):
    return MLP((8,) * 3, activation, bias_law=bias_law)


@pytest.mark.parametrize("num_outputs", [1, 2, 3, 10])
@pytest.mark.parametrize("rho", [0.0, -0.7, 0.95, 1.0])
def test_the_product_of_two_correlated_norms(num_outputs, rho):
    found = 2.0 * poch(num_outputs / 2, 0.5) ** 2 * (1.0 + speed_product_excess(num_outputs, rho))
    rng = np.random.default_rng(3)
    g, h = rng.standard_normal((2, 100_000, num_outputs))
    products = np.linalg.norm(g, axis=1) * np.linalg.norm(
        rho * g + math.sqrt(1.0 - rho**2) * h, axis=1
    )
    # the rival: the product of the means, which a correlation ignored would give
    independent = 2.0 * poch(num_outputs / 2, 0.5) ** 2
    assert_mean(products, found, rejects=independent if rho else 1.1 * found, resolves=0.05)
    if num_outputs == 1:
        assert found == pytest.approx(
            2.0 / math.pi * (math.sqrt(1.0 - rho**2) + rho * math.asin(rho)), rel=1e-13
        )
    if rho == 1.0:
        assert found == pytest.approx(num_outputs, rel=1e-13)
    if abs(rho) > 0.9:
        error = products.std() / math.sqrt(len(products))
        assert abs(products.mean() - independent) > 10.0 * error


@pytest.mark.parametrize(
    ("depth", "num_outputs", "expected"),
    [(2, 1, 0.0607574), (2, 2, 0.0299389), (2, 10, 0.0058399), (4, 3, 0.0107007)],
)
@pytest.mark.slow_cases("2-1-0.0607574", "2-2-0.0299389", "4-3-0.0107007")
def test_the_circle_without_biases_has_its_reference_variance(depth, num_outputs, expected):
    spec = MLP(
        (8,) * depth, weight_law=normal(2.5), output_width=num_outputs, output_law=normal(0.6)
    )
    moments = curve_length_moments(spec, CIRCLE)
    # one unit of the last digit quoted: it was cut, not rounded
    assert _relative_variance(moments) == pytest.approx(expected, abs=1e-7)
    g_1 = (
        math.sqrt(2.0 / num_outputs)
        * math.gamma((num_outputs + 1) / 2)
        / math.gamma(num_outputs / 2)
    )
    mean = math.sqrt(0.6 * num_outputs / 2) * 1.25 ** (depth / 2) * g_1 * 2.0 * math.pi
    assert moments.mean == pytest.approx(mean, rel=1e-13)
    assert moments.mean_error < 1e-12
    assert moments.variance_error < 1e-9 * moments.variance


@pytest.mark.parametrize(
    ("activation", "curve"), [(act.relu, curves.line([1.0, 1.0], [3.0, 3.0])), (act.linear, LINE)]
)
@pytest.mark.slow
def test_a_curve_of_constant_velocity_has_a_length_like_chi(activation, curve):
    moments = curve_length_moments(MLP((8,) * 3, activation, output_width=4), curve)
    # chi with 4 degrees of freedom: mean sqrt(2) Gamma(5/2) / Gamma(2), mean square 4
    mean_square_ratio = 4.0 / (2.0 * math.gamma(2.5) ** 2)
    assert _relative_variance(moments) == pytest.approx(mean_square_ratio - 1.0, rel=1e-12)


@pytest.mark.slow
def test_a_linear_network_on_a_circle_equals_the_length_of_random_ellipses():
    moments = curve_length_moments(MLP((8,), act.linear, output_width=3), CIRCLE)

    def excess(distance):
        return float(mpmath.hyp2f1(-0.5, -0.5, 1.5, math.cos(distance) ** 2)) - 1.0

    expected = integrate.quad(excess, 0.0, math.pi / 2.0)[0] / (math.pi / 2.0)
    assert _relative_variance(moments) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("curve", [LINE, TILTED], ids=["open", "closed"])
@pytest.mark.exhaustive
def test_moments_equal_a_plain_double_sum_over_the_kernel(curve):
    spec = _three_layers(act.relu, BIAS)
    with_output = MLP(
        (8,) * 2, bias_law=BIAS, output_width=2, output_law=normal(2.0)
    )  # the same kernel

    def double_sum(num):
        spacing = (curve.stop - curve.start) / num
        kernel = velocity_kernel(spec, curve, curve.start + spacing * (0.5 + np.arange(num)))
        speeds = np.sqrt(np.diag(kernel))
        products = np.outer(speeds, speeds)
        excess = speed_product_excess(2, kernel / products)
        return math.sqrt(
            math.pi / 2.0
        ) * spacing * speeds.sum(), math.pi / 2.0 * spacing**2 * np.sum(products * excess)

    coarse, fine, finest = (np.array(double_sum(num)) for num in (50, 100, 200))
    moments = curve_length_moments(with_output, curve)
    assert moments.mean == pytest.approx(finest[0], rel=1e-12)
    # the kink on the diagonal costs the sum spacing^2, and after extrapolation spacing^3
    extrapolated = [(4.0 * b - a)[1] / 3.0 for a, b in ((coarse, fine), (fine, finest))]
    errors = np.abs(np.array([coarse[1], finest[1], *extrapolated]) / moments.variance - 1.0)
    assert errors[1] < errors[0] / 12.0
    assert errors[3] < errors[2] / 4.0
    assert errors[3] < 2e-5


@pytest.mark.slow
@pytest.mark.exhaustive
def test_an_arc_and_its_complement_have_the_variance_of_the_circle_and_no_more_than_it():
    def arc(start, stop):
        return curves.Curve("circle", TILTED.coefficients, start, stop, "arc")

    spec = MLP((8,) * 2, bias_law=BIAS, output_width=1)
    whole, one, other = (
        curve_length_moments(spec, c) for c in (TILTED, arc(0.0, 2.0), arc(2.0, 2.0 * math.pi))
    )
    assert one.mean + other.mean == pytest.approx(whole.mean, rel=1e-12)
    covariance = 0.5 * (whole.variance - one.variance - other.variance)
    assert 0.0 < covariance < math.sqrt(one.variance * other.variance)
    x, mass = np.polynomial.legendre.leggauss(24)
    t, s = 1.0 + x, 1.0 + math.pi + (math.pi - 1.0) * x
    kernel = velocity_kernel(spec, TILTED, np.concatenate([t, s]))
    speeds = np.sqrt(np.diag(kernel))
    products = np.outer(speeds, speeds)
    cross = 2.0 / math.pi * (products * speed_product_excess(1, kernel / products))[:24, 24:]
    assert covariance == pytest.approx((math.pi - 1.0) * mass @ cross @ mass, rel=1e-4)


@pytest.mark.slow
def test_stationary_circles_take_one_direction_and_give_the_same(monkeypatch):
    shifted = curves.Curve(
        "circle", np.vstack([[0.0, 0.0, 0.8], np.eye(3)[:2]]), 0.0, 2.0 * math.pi, "above 0"
    )
    quarter = curves.Curve("circle", shifted.coefficients, 0.5, 2.0, "arc above 0")
    spec = MLP((8,) * 2, output_width=2)
    fast = [curve_length_moments(spec, curve) for curve in (CIRCLE, shifted, quarter)]
    assert len(lengths._half_square_rule(quarter, 32)[0]) == 32
    monkeypatch.setattr(lengths, "_is_stationary", lambda curve: False)
    slow = [curve_length_moments(spec, curve) for curve in (CIRCLE, shifted, quarter)]
    np.testing.assert_allclose([m[:2] for m in fast], [m[:2] for m in slow], rtol=1e-11)


@pytest.mark.parametrize(
    ("curve", "bias_law"),
    [
        (LINE, None),
        (TILTED, BIAS),
        (curves.circle_through([2.0, 0.0], [0.0, 1.0], [-1.0, -0.5]), None),
    ],
    ids=["line", "tilted circle", "circle around 0 off centre"],
)
@pytest.mark.exhaustive
def test_the_error_estimate_bounds_the_error(curve, bias_law):
    spec = MLP((8,) * 3, bias_law=bias_law, output_width=1)
    reference = curve_length_moments(spec, curve, 160)
    for num_nodes in (8, 16, 32):
        moments = curve_length_moments(spec, curve, num_nodes)
        rounding = 1e-14 * moments.variance
        assert abs(moments.variance - reference.variance) < moments.variance_error + rounding
        assert moments.variance_error < 0.02 * moments.variance


def test_only_the_span_of_the_curve_matters_and_the_scale_without_biases():
    spec = MLP((8,) * 3, output_width=1)
    plain = curve_length_moments(spec, LINE)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((40, 3)))[0]
    ends = np.array([[1.0, -2.0, 0.0], [1.0, 2.0, 0.5]]) @ turn.T * math.sqrt(40 / 3)
    np.testing.assert_allclose(
        curve_length_moments(spec, curves.line(*ends))[:2], plain[:2], rtol=1e-12
    )
    doubled = curve_length_moments(spec, curves.line([2.0, -4.0, 0.0], [2.0, 4.0, 1.0]))
    np.testing.assert_allclose(doubled[:2], [2.0 * plain.mean, 4.0 * plain.variance], rtol=1e-12)
