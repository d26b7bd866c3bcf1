import itertools
import math

import mpmath as mp
import numpy as np
import pytest

from deepinit.core.activations import leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.kernel_corrections import (
    deep_wide_kernel,
    deep_wide_ntk_ratio,
    homogeneous_kernel_layers,
    homogeneous_kernel_log,
    homogeneous_kernel_moment,
    homogeneous_ntk_moments,
    kernel_corrections,
    linear_kernel_layers,
    linear_kernel_second_moments,
    output_fourth_cumulant,
    output_statistics,
    tangent_covariance,
)


@pytest.mark.parametrize(
    ("width", "moments", "mean", "variance"),
    [
        (5, (2.0, 5.76, 21.504), -0.62339286496579, 2.36226876207694),
        (10, (1.5, 2.94, 7.068), -0.30746101069186, 0.86673425305260),
        (100, (1.05, 1.1544, 1.325658), -0.02542088562276, 0.05193999214872),
    ],
)
def test_relu_steps(width, moments, mean, variance):
    result = [homogeneous_kernel_moment("relu", (width,), 2.0, order) for order in (2, 3, 4)]
    assert result == pytest.approx(moments, rel=1e-12)
    logs = homogeneous_kernel_log("relu", (width,), 2.0)
    assert (logs.mean, logs.variance) == pytest.approx((mean, variance), abs=1e-13)
    assert logs.death_probability == pytest.approx(0.5**width, rel=1e-12)


def test_moments_and_logs_of_several_layers_and_variances():
    widths, weights = (3, 7), (1.7, 2.6)
    product = math.prod(
        homogeneous_kernel_moment("relu", (n,), w, 1.5)
        for n, w in zip(widths, weights, strict=True)
    )
    assert homogeneous_kernel_moment("relu", widths, weights, 1.5) == pytest.approx(product)
    steps = [homogeneous_kernel_log("relu", (n,), w) for n, w in zip(widths, weights, strict=True)]
    both = homogeneous_kernel_log("relu", widths, weights)
    assert both.mean == pytest.approx(sum(step.mean for step in steps))
    assert both.death_probability == pytest.approx(1.0 - (1.0 - 0.5**3) * (1.0 - 0.5**7))
    # E log against a sum over units and quadrature
    mean = (
        sum(
            mp.binomial(3, m) * (mp.log(2 * 1.7 / mp.mpf(3)) + mp.digamma(mp.mpf(m) / 2))
            for m in (1, 2, 3)
        )
        / 7
    )
    assert steps[0].mean == pytest.approx(float(mean), abs=1e-13)


@pytest.mark.parametrize("slope", [0.2, -0.5, 3.0])
def test_leaky_kernels_have_the_stated_second_moment(slope):
    p, q = 0.5 * (1.0 + slope**2), 0.5 * (1.0 + slope**4)
    second = homogeneous_kernel_moment(leaky_relu(slope), (6, 9), 1.3, 2.0)
    expected = (
        (1.3 * p) ** 4 * (1.0 + (3.0 * q / p**2 - 1.0) / 6) * (1.0 + (3.0 * q / p**2 - 1.0) / 9)
    )
    assert second == pytest.approx(expected, rel=1e-12)
    logs = homogeneous_kernel_log(leaky_relu(slope), (500,), 1.0 / p)
    assert logs.variance == pytest.approx((3.0 * q / p**2 - 1.0) / 500, rel=0.02)


@pytest.mark.parametrize("activation", ["relu", leaky_relu(-0.5), "linear"])
def test_layers_of_one_input_have_the_moments_of_their_product(activation):
    widths, weights = (2, 3, 8), (1.3, 0.9, 1.7)
    result = homogeneous_kernel_layers(activation, 0.7, widths, weights)
    for layer in range(3):
        one, two = (
            0.7**power
            * homogeneous_kernel_moment(
                activation, widths[: layer + 1], weights[: layer + 1], power
            )
            for power in (1, 2)
        )
        assert result.mean[layer] == pytest.approx(one, rel=1e-12)
        assert result.variance[layer] == pytest.approx(two - one**2, rel=1e-11)
    wide = homogeneous_kernel_layers(activation, 0.7, (10**13,), 1.0)
    c = {"relu": 5.0, "linear": 2.0}.get(
        activation if isinstance(activation, str) else "", 3 * 0.53125 / 0.625**2 - 1
    )
    assert wide.variance[0] / wide.mean[0] ** 2 == pytest.approx(c * 1e-13, rel=1e-12)


def test_tangent_kernel_of_relu_exactly():
    assert homogeneous_ntk_moments("relu", 1.0, (12, 24, 16), 2.0).second == pytest.approx(
        28.760417, abs=6e-7
    )
    assert homogeneous_ntk_moments("relu", 1.0, (24, 48, 32), 2.0).second == pytest.approx(
        21.707031, abs=6e-7
    )
    one = homogeneous_ntk_moments("relu", 0.7, (11,), 2.0)
    assert one.second / one.mean**2 == pytest.approx(1.0 + 3.0 / 11.0, rel=1e-13)


def _enumerated(widths, weight_var, gates, bias_rate):
    """E Theta^2 of two hidden layers, K^1 = 1: a sum over all gates of Isserlis' theorem for the
    Gaussian weights."""
    total = 0.0
    weights = np.broadcast_to(weight_var, 2)
    for first in itertools.product(gates, repeat=widths[0]):
        for second in itertools.product(gates, repeat=widths[1]):
            total += _given_gates(np.array(first), np.array(second), weights, bias_rate)
    return total * 0.5 ** sum(widths)


def _given_gates(first, second, w, tb):
    """Theta = (1 + tb) Delta1 + (G2 + tb) Delta2 + G3 + tb at fixed gates D1, D2.

    G2 = a |D1 g|^2, G3 = a b |D2 W D1 g|^2, Delta2 = b |D2 v|^2, Delta1 = a b |D1 W^T D2 v|^2; g,
    v, W standard normal.
    """
    a, b = w[0] / len(first), w[1] / len(second)
    m1, m2, q1, q2 = (first**2).sum(), (second**2).sum(), (first**4).sum(), (second**4).sum()
    g2, g2_g2 = a * m1, a**2 * (m1**2 + 2 * q1)
    g3, g3_g3 = b * m2 * g2, b**2 * (m2**2 + 2 * q2) * g2_g2
    d2, d2_d2 = b * m2, b**2 * (m2**2 + 2 * q2)
    d1, d1_d1 = a * m1 * d2, a**2 * (m1**2 + 2 * q1) * d2_d2
    g3_d2 = g3 * d2
    g3_d1 = a**2 * b**2 * (m1**2 * m2**2 + 2 * q1 * q2)  # W on both sides
    d1_d2, g2_d1_d2, g2_g3_d2 = a * m1 * d2_d2, g2 * a * m1 * d2_d2, b * m2 * g2_g2 * d2
    squares = (
        (1 + tb) ** 2 * d1_d1 + (g2_g2 + 2 * tb * g2 + tb**2) * d2_d2 + g3_g3 + 2 * tb * g3 + tb**2
    )
    mixed = (
        (1 + tb) * (g2_d1_d2 + tb * d1_d2 + g3_d1 + tb * d1)
        + g2_g3_d2
        + tb * (g3_d2 + g2 * d2 + tb * d2)
    )
    return squares + 2.0 * mixed


@pytest.mark.parametrize(("slope", "bias_rate"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.6), (1.0, 0.6)])
def test_tangent_kernel_against_sums_over_gates(slope, bias_rate):
    for weights in (1.3, (1.3, 0.8)):
        result = homogeneous_ntk_moments(
            leaky_relu(slope), 1.0, (2, 3), weights, bias_rate=bias_rate
        )
        gated = _enumerated((2, 3), weights, (slope, 1.0), bias_rate)
        assert result.second == pytest.approx(gated, rel=1e-12)


@pytest.mark.parametrize("bias_rate", [0.0, 0.7])
@pytest.mark.parametrize(
    ("activation", "weight_var"),
    [("relu", 2.0), (leaky_relu(0.2), 2.0 / 1.04), ("linear", 1.0), ("relu", 1.6)],
)
def test_recursion_is_the_first_order_of_the_exact_tangent_kernel(
    activation, weight_var, bias_rate
):
    widths, large = (10, 20, 15), 10**5
    result = kernel_corrections(
        activation, 0.9, widths, weight_var, bias_rate=bias_rate, first_tangent=0.9 + bias_rate
    )
    exact = homogeneous_ntk_moments(
        activation, 0.9, np.multiply(widths, large), weight_var, bias_rate=bias_rate
    )
    assert result.tangent[-1, 0] == pytest.approx(exact.mean, rel=1e-13)
    assert tangent_covariance(result)[-1, 0, 0] == pytest.approx(exact.variance * large, rel=1e-4)


@pytest.mark.parametrize(
    ("activation", "weight_var", "widths", "coefficient"),
    [("relu", 2.0, (10, 20, 15), 9.504), ("relu", 2.0, (8,) * 5, 62.775)],
)
def test_coefficients_of_the_tangent_kernel(activation, weight_var, widths, coefficient):
    result = kernel_corrections(activation, 0.9, widths, weight_var)
    assert tangent_covariance(result)[-1, 0, 0] == pytest.approx(coefficient, rel=1e-9)


def test_linear_networks_with_several_inputs():
    first, widths = np.array([[1.0, 0.4], [0.4, 0.7]]), (8, 6, 10)
    second = linear_kernel_second_moments(first, widths, 1.2)
    rows, columns = np.triu_indices(2)
    mean = 1.2**3 * first[rows, columns]
    covariance = second[rows, columns][:, rows, columns] - np.outer(mean, mean)
    expected = [
        [2.985984, 1.1943936, 0.64571904],
        [1.1943936, 1.19999232, 0.83607552],
        [0.64571904, 0.83607552, 1.46313216],
    ]
    assert covariance == pytest.approx(np.array(expected), rel=1e-12)


def test_entries_of_linear_networks_layer_by_layer():
    x = np.random.default_rng(1).normal(size=(3, 5))
    first, widths, weights = x @ x.T / 5.0, (2, 5, 3), (1.3, 0.9, 1.7)
    result = linear_kernel_layers(first, widths, weights)
    for layer in range(3):
        second = linear_kernel_second_moments(first, widths[: layer + 1], weights[: layer + 1])
        mean = np.prod(weights[: layer + 1]) * first
        assert result.mean[layer] == pytest.approx(mean, rel=1e-14)
        assert result.variance[layer] == pytest.approx(
            np.einsum("abab->ab", second) - mean**2, rel=1e-12
        )
    one = homogeneous_kernel_layers("linear", first[0, 0], widths, weights)
    assert result.variance[:, 0, 0] == pytest.approx(one.variance, rel=1e-13)


def test_recursion_is_the_first_order_of_the_exact_linear_kernel():
    x = np.random.default_rng(1).normal(size=(4, 5))
    first, widths, large = x @ x.T / 5.0, np.array([9, 4, 6]), 10**6
    rows, columns = np.triu_indices(4)
    result = kernel_corrections("linear", first, widths, 1.1, vertex="all")
    second = linear_kernel_second_moments(first, widths * large, 1.1)[rows, columns][
        :, rows, columns
    ]
    covariance = second - np.outer(result.kernel[-1], result.kernel[-1])
    assert result.vertex_error == 0.0
    assert np.abs(result.kernel_shift).max() < 1e-14
    assert result.kernel_covariance[-1] == pytest.approx(covariance * large, rel=1e-5, abs=1e-7)
    joint = output_fourth_cumulant(result, (0, 1, 2, 3))[-1]
    parts = [
        output_fourth_cumulant(result, pair, same=False)[-1]
        for pair in ((0, 1, 2, 3), (0, 2, 1, 3), (3, 0, 1, 2))
    ]
    assert joint == pytest.approx(sum(parts), rel=1e-12)


@pytest.mark.parametrize(
    ("beta", "ratio"), [(0.1, 1.458273), (0.5, 7.760316), (1.0, 76.968597), (2.0, 9585.59)]
)
def test_deep_and_wide_relu(beta, ratio):
    assert deep_wide_ntk_ratio("relu", beta) == pytest.approx(ratio, rel=1e-6)
    depth = 400
    finite = homogeneous_ntk_moments("relu", 1.0, (round(depth / beta),) * depth, 2.0)
    expected = {0.1: 1.457491, 0.5: 7.700196, 1.0: 74.673, 2.0: 8490.1}[beta]
    assert finite.second / finite.mean**2 == pytest.approx(expected, rel=1e-5)


def test_deep_and_wide_slopes_and_logs():
    for activation, slope in (("relu", 11.0 / 3.0), ("linear", 4.0 / 3.0)):
        assert (deep_wide_ntk_ratio(activation, 1e-6) - 1.0) / 1e-6 == pytest.approx(
            slope, rel=1e-4
        )
    assert deep_wide_ntk_ratio("relu", 1.0001e-3 / 6.0) == pytest.approx(
        deep_wide_ntk_ratio("relu", 0.9999e-3 / 6.0), rel=1e-6
    )
    law = deep_wide_kernel("relu", 0.5)
    finite = homogeneous_kernel_log("relu", (4000,) * 2000, 2.0)
    assert (law.mean, law.variance) == (-1.25, 2.5)
    assert (finite.mean, finite.variance) == pytest.approx((law.mean, law.variance), rel=2e-3)


def test_output_statistics():
    result = output_statistics([0.0, 0.5])
    assert result.excess_kurtosis == pytest.approx([0.0, 1.5])
    assert result.square_correlation == pytest.approx([0.0, 0.5 / 3.5])


@pytest.mark.parametrize(
    "call",
    [
        lambda: homogeneous_kernel_moment("tanh", (3,), 1.0),
        lambda: homogeneous_kernel_moment("relu", (), 2.0),
        lambda: homogeneous_kernel_log("relu", (3, 4), (2.0,)),
        lambda: homogeneous_kernel_layers("relu", 0.0, (3,), 2.0),
        lambda: homogeneous_kernel_layers("gelu", 1.0, (3,), 2.0),
        lambda: linear_kernel_layers([[1.0, 2.0], [2.0, 1.0]], (3,), 1.0),
        lambda: homogeneous_ntk_moments("relu", 1.0, (3, 4), (2.0,)),
        lambda: homogeneous_ntk_moments("relu", -1.0, (3,), 2.0),
        lambda: homogeneous_ntk_moments("relu", 1.0, (3,), 2.0, bias_rate=-1.0),
        lambda: linear_kernel_second_moments([[1.0, 2.0]], (3,), 1.0),
        lambda: deep_wide_kernel("relu", -0.1),
        lambda: deep_wide_ntk_ratio("gelu", 0.1),
        lambda: output_statistics(-0.1),
    ],
)
def test_refusals_of_exact_results(call):
    with pytest.raises(SpecError, match=r"Allowed"):
        call()
