import math

import numpy as np
import pytest

from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import (
    bias_kernel_variance,
    coordinate_excess_kurtosis,
    correlated_moments,
    double_limit,
    jacobian_law,
    log_mean_square_law,
    mean_square_moments,
    overlap_moments,
)

PAIR = np.outer([1.0, 2.0], [1.0, 2.0])


def richardson(fn, depth):
    """The limit of fn(depth) with its terms of order 1/depth and 1/depth^2 removed."""
    first, second, third = fn(depth), fn(2 * depth), fn(4 * depth)
    return (first - 6.0 * second + 8.0 * third) / 3.0


@pytest.mark.parametrize(
    ("width", "moments"), [(5, (2.16927, 10.52128, 112.034)), (20, (2.16927, 5.76770, 18.7495))]
)
def test_moments_of_the_mean_square(width, moments):
    result = mean_square_moments("tanh", width, 0.64, 1.0, 0.25, 1.0, highest=3)
    assert result == pytest.approx([1.0, *moments], rel=6e-6)


@pytest.mark.parametrize("width", [1, 2, 7])
def test_moments_against_the_exact_law_of_a_linear_network_of_growing_depth(width):
    weight, bias, horizon, q = 0.8, 0.3, 1.3, 0.7

    def at_depth(
        depth,
    ):  # x + h, h ~ N(0, s dt I): E (q + 2 <x, h> / D + |h|^2 / D)^2, in (1, q, q^2)
        dt = horizon / depth
        s, s2 = np.array([bias, weight, 0.0]), np.array([bias**2, 2 * bias * weight, weight**2])
        qs = np.array([0.0, bias, weight])
        square = (
            np.array([0, 0, 1.0]) + (2.0 + 4.0 / width) * qs * dt + (1.0 + 2.0 / width) * s2 * dt**2
        )
        step = np.array([[1.0, 0, 0], np.array([0, 1.0, 0]) + s * dt, square])
        return np.linalg.matrix_power(step, depth) @ [1.0, q, q * q]

    limit = richardson(at_depth, 8192)
    assert mean_square_moments("linear", width, q, weight, bias, horizon) == pytest.approx(
        limit, rel=1e-8
    )


@pytest.mark.parametrize("width", [1, 2, 3, 40])
def test_log_normal_law_has_the_moments(width):
    law = log_mean_square_law("erf", width, 0.6, 0.9)
    moments = mean_square_moments("erf", width, 1.7, 0.6, 0.0, 0.9, highest=4)
    order = np.arange(5)
    expected = 1.7**order * np.exp(order * law.mean + 0.5 * order**2 * law.variance)
    assert moments == pytest.approx(expected, rel=1e-12)
    assert law.variance == pytest.approx(4 * 0.6 * 0.9 * (4 / math.pi) / width)


@pytest.mark.parametrize(("width", "variance"), [(8, 12.864), (32, 2.6788), (128, 0.64092)])
def test_overlaps_in_the_table_of_widths(width, variance):
    result = overlap_moments("tanh", width, PAIR, 1.0, 1.0)
    limit = double_limit("tanh", PAIR, 1.0, 1.0).overlap
    assert result.mean == pytest.approx(limit, rel=1e-13)  # no correction at any width
    assert (result.mean[0, 0], result.mean[0, 1]) == pytest.approx((4.43656, 7.15485), abs=6e-6)
    assert result.variance[0, 0] == pytest.approx(variance, rel=4e-5)
    for i in (0, 1):
        alone = mean_square_moments("tanh", width, PAIR[i, i], 1.0, 1.0)
        assert (result.mean[i, i], result.second[i, i]) == pytest.approx(alone[1:], rel=1e-12)


def test_second_moments_of_a_pair_by_polarization_and_for_equal_inputs():
    q1, q2, overlap, width = 1.3, 0.6, 0.4, 3
    pair = overlap_moments("tanh", width, [[q1, overlap], [overlap, q2]], 0.9)
    both = [
        mean_square_moments("tanh", width, q1 + q2 + 2 * sign * overlap, 0.9)[2] for sign in (1, -1)
    ]
    # without bias the network is linear:
    # q(x + y)^2 + q(x - y)^2 = 2 (q_1^2 + q_2^2 + 2 q_1 q_2 + 4 lambda^2)
    expected = 2 * (
        pair.second[0, 0] + pair.second[1, 1] + 2 * pair.square_product + 4 * pair.second[0, 1]
    )
    assert expected == pytest.approx(sum(both), rel=1e-12)
    equal = overlap_moments("tanh", width, np.full((2, 2), q1), 0.9, 0.5)
    square = mean_square_moments("tanh", width, q1, 0.9, 0.5)[2]
    assert (equal.second[0, 1], equal.square_product) == pytest.approx((square, square), rel=1e-12)
    # the published bracket of lambda lacks 2 s_12 lambda: half of the growth of order 1/D
    assert pair.second[0, 1] > math.exp(1.8) * overlap**2


def test_excess_kurtosis_of_a_coordinate():
    table = {1: 23.562, 4: 1.71828, 16: 0.33935, 64: 0.080306, 256: 0.019807, 500: 0.010119}
    for width, value in table.items():
        assert coordinate_excess_kurtosis("tanh", width, 0.0, 1.0, 1.0) == pytest.approx(
            value, rel=4e-5
        )


@pytest.mark.parametrize("start", [1.5, -0.4])
def test_excess_kurtosis_at_width_1_is_that_of_geometric_brownian_motion(start):
    c = 0.7  # E x^k = x_0^k e^{k (k-1) C / 2}
    second = math.expm1(c)
    fourth = math.exp(6 * c) - 4 * math.exp(3 * c) + 6 * math.exp(c) - 3
    assert coordinate_excess_kurtosis("sin", 1, start, 0.7) == pytest.approx(
        fourth / second**2 - 3, rel=1e-11
    )
    assert coordinate_excess_kurtosis("sin", 10**6, start, 0.7) == pytest.approx(0.0, abs=1e-4)


def test_jacobian_values():
    law = jacobian_law("tanh", 24, 1.0)
    assert law.mean_square == pytest.approx(math.e)
    assert law.fourth == pytest.approx(23.53, abs=5e-3)
    assert law.inverse_mean_square == pytest.approx(2.954, abs=6e-4)
    assert law.log_det == (-0.5, 1.0)
    wide = jacobian_law("tanh", 10**9, 1.0, 0.6)
    assert wide.fourth == pytest.approx(math.exp(1.2) * 2.2, rel=1e-8)
    assert wide.relative_spread == pytest.approx(1.2, rel=1e-7)


@pytest.mark.parametrize("width", [1, 2, 5, 64])
def test_jacobian_statistics_agree_with_each_other(width):
    law = jacobian_law("erf", width, 0.5, 0.8)
    c = 0.5 * 0.8 * 4 / math.pi
    mean, variance = law.log_square
    assert math.exp(mean + 0.5 * variance) == pytest.approx(law.mean_square, rel=1e-13)
    # for v uniform on the sphere E (v^T S v)^2 = (tr(S)^2 + 2 tr(S^2)) / (D (D + 2)), S = g^T g
    over_sphere = (width * law.squared_trace + 2.0 * law.fourth) / (width + 2.0)
    assert over_sphere == pytest.approx(math.exp(2 * mean + 2 * variance), rel=1e-13)
    if width == 1:
        assert (law.log_det.mean, law.log_det.variance) == pytest.approx(
            (0.5 * mean, 0.25 * variance)
        )
        assert law.inverse_mean_square == pytest.approx(math.exp(-mean + 0.5 * variance), rel=1e-13)
        assert law.fourth == pytest.approx(math.exp(6 * c), rel=1e-13)


@pytest.mark.parametrize(
    ("width", "deviation"), [(8, 0.8488), (10, 0.7477), (32, 0.4012), (50, 0.3189), (128, 0.1979)]
)
def test_spread_of_the_bias_kernel(width, deviation):
    assert math.sqrt(bias_kernel_variance("tanh", width, 1.0, 1.0)) == pytest.approx(
        deviation, abs=6e-5
    )


@pytest.mark.parametrize(
    ("width", "weight", "bias", "horizon"),
    [(2, 0.7, 0.4, 1.9), (9, 2.0, 1.0, 0.5), (1, 1.0, 1.0, 1.0), (400, 95.0, 1.0, 1.0)],
)
def test_spread_of_the_bias_kernel_in_closed_form(width, weight, bias, horizon):
    gamma, r, e = 4 * weight / width, bias / weight, math.exp(weight * horizon)
    bracket = math.expm1((2 * weight + gamma) * horizon) / (2 * weight + gamma) - (e - 1) / weight
    expected = 2 * bias**2 * bracket / (weight + gamma) - (r * (e - 1)) ** 2
    times, mass = np.polynomial.legendre.leggauss(200)  # and as an integral over two times
    u = 0.5 * horizon * (times + 1.0)
    ahead = (e - np.exp(weight * u)) / weight
    integral = bias**2 * horizon * np.sum(mass * np.exp(weight * u) * np.expm1(gamma * u) * ahead)
    assert integral == pytest.approx(expected, rel=1e-9)
    assert bias_kernel_variance("linear", width, weight, bias, horizon) == pytest.approx(
        expected, rel=1e-11
    )
    assert bias_kernel_variance("linear", width, 0.0, bias, horizon) == 0.0


def test_correlated_moments_reduce_to_the_independent_ones():
    width, x = 4, np.array([[1.0, -0.3, 0.5, 0.2], [0.4, 0.8, -1.0, 0.1]])
    result = correlated_moments(
        "tanh", x, 0.9 / width * np.eye(width), np.eye(width), 0.3 * np.eye(width), 1.2
    )
    plain = overlap_moments("tanh", width, x @ x.T / width, 0.9, 0.3, 1.2)
    assert np.einsum("ijdd->ij", result.second) / width == pytest.approx(plain.mean, rel=1e-10)
    assert result.mean == pytest.approx(x)


def test_correlated_moments_against_networks_of_growing_depth():
    rng = np.random.default_rng(0)  # the coefficients of one system, nothing is estimated
    d, a = 3, 2.0 / math.sqrt(math.pi)
    rows, columns, biases = (factor @ factor.T for factor in rng.normal(size=(3, d, d)) / 2)
    drift, push, x = rng.normal(size=(d, d)) / 2, rng.normal(size=d), rng.normal(size=(2, d))
    covariance = np.einsum("op,ij->oipj", rows, columns)  # of the whole weight matrix

    def at_depth(depth):  # linear blocks a (dW x + db): exact moments
        dt, mean, second = 1.0 / depth, x, np.einsum("id,je->ijde", x, x)
        step = np.eye(d) + a * dt * drift
        for _ in range(depth):
            noise = np.einsum("oipj,abij->abop", covariance, second) + biases
            moved = np.einsum("od,ijde,pe->ijop", step, second, step)
            cross = np.einsum("id,od,p->iop", mean, step, a * dt * push)
            second = (
                moved
                + cross[:, None]
                + cross.transpose(0, 2, 1)[None]
                + a**2 * dt**2 * np.outer(push, push)
            )
            second = second + a**2 * dt * noise
            mean = mean @ step.T + a * dt * push
        return np.concatenate([mean.ravel(), second.ravel()])

    result = correlated_moments(
        "erf", x, rows, columns, biases, weight_drift=drift, bias_drift=push
    )
    expected = richardson(at_depth, 128)
    assert np.concatenate([result.mean.ravel(), result.second.ravel()]) == pytest.approx(
        expected, rel=2e-5, abs=2e-5
    )
    assert result.covariance[0, 1] == pytest.approx(result.covariance[1, 0].T)
    swapped = correlated_moments(
        "erf", x, columns, rows, biases, weight_drift=drift, bias_drift=push
    )
    assert abs(swapped.second - result.second).max() > 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_square_moments("tanh", 0, 1.0, 1.0), "width=0"),
        (lambda: mean_square_moments("tanh", 4, -1.0, 1.0), "mean_square=-1.0"),
        (lambda: mean_square_moments("tanh", 4, 1.0, -1.0), "weight_var=-1.0"),
        (lambda: mean_square_moments("tanh", 4, 1.0, 1.0, -0.1), "bias_var=-0.1"),
        (lambda: mean_square_moments("tanh", 4, 1.0, 1.0, 0.1, -1.0), "horizon=-1.0"),
        (lambda: mean_square_moments("tanh", 4, 1.0, 1.0, highest=0), "highest=0"),
        (lambda: mean_square_moments("tanh", 4, 1.0, 1.0, highest=13), "highest=13"),
        (lambda: mean_square_moments("tanh", 4, 1.0, 1e4), "growth exponent"),
        (lambda: overlap_moments("tanh", 4, np.eye(3), 1.0), r"shape \(3, 3\)"),
        (
            lambda: overlap_moments("tanh", 4, [[1.0, 2.0], [2.0, 1.0]], 1.0),
            "positive semidefinite",
        ),
        (lambda: overlap_moments("tanh", 4, [[1.0, 0.5], [0.2, 1.0]], 1.0), "symmetric"),
        (lambda: overlap_moments("tanh", 4, "eye", 1.0), "gram of type.*real numbers"),
        (lambda: coordinate_excess_kurtosis("tanh", 4, 0.0, 1.0), "without variance"),
        (lambda: coordinate_excess_kurtosis("tanh", 4, math.nan, 1.0), "start that is not finite"),
        (lambda: jacobian_law("gelu", 4, 1.0), r"phi''\(0\)"),
        (lambda: bias_kernel_variance("tanh", 2.5, 1.0, 1.0), "width=2.5"),
        (
            lambda: correlated_moments("tanh", np.ones((1, 3)), np.eye(2), np.eye(3)),
            "row_covariance",
        ),
        (
            lambda: correlated_moments("tanh", np.ones((1, 3)), np.eye(3), -np.eye(3)),
            "positive semidefinite",
        ),
        (
            lambda: correlated_moments("tanh", np.ones(3), np.eye(3), np.eye(3), bias_drift=[1.0]),
            "bias_drift",
        ),
        (
            lambda: correlated_moments("tanh", np.ones((1, 1, 3)), np.eye(3), np.eye(3)),
            "start of shape",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
