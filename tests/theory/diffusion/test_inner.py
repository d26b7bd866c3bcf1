import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp

from deepinit.core.activations import as_activation, from_function, leaky_relu
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import (
    double_limit,
    explosion_times,
    inner_limit,
    log_mean_square_law,
    two_layer_limit,
    two_layer_log_mean_square_law,
)
from deepinit.theory.diffusion.pairs import product_means

START = np.array([[1.0, 0.3], [0.3, 0.6]])


@pytest.mark.parametrize(
    ("outer", "inner", "weight_std", "bias_std", "values"),
    [
        ("tanh", "erf", 1.5, 0.3, (2.3258, 0.8026, 2.2347, 0.7345)),
        ("tanh", "relu", 1.2, 0.3, (2.1862, 0.8956, 1.6641, 0.7389)),
        ("silu", "tanh", 1.5, 0.5, (1.3909, 0.5237, 0.3390, 0.1638)),
    ],
)
def test_values_with_an_inner_activation(outer, inner, weight_std, bias_std, values):
    result = inner_limit(outer, inner, START, weight_std**2, bias_std**2)
    got = (
        result.overlap[0, 0],
        result.overlap[0, 1],
        result.block_kernel[0, 0],
        result.block_kernel[0, 1],
    )
    assert got == pytest.approx(values, abs=6e-5)
    if outer == "silu":
        assert result.mean[0] == pytest.approx(0.3006, abs=6e-5)


@pytest.mark.parametrize("outer", ["tanh", "silu"])
def test_the_identity_inside_is_the_double_limit(outer):
    z = np.array([0.6, -0.9])
    result = inner_limit(outer, "linear", 0.2 * START, 0.8, 0.4, 1.1, z)
    limit = double_limit(outer, 0.2 * START + np.outer(z, z), 0.8, 0.4, 1.1, z)
    assert result.mean == pytest.approx(limit.mean, rel=1e-8)
    assert result.overlap == pytest.approx(limit.overlap, rel=1e-8)
    assert result.block_kernel == pytest.approx(limit.block_kernel, rel=1e-8)


def test_a_start_without_variance():
    z = np.array([1.0, 2.0])  # copied to every coordinate
    result = inner_limit("tanh", jnp.tanh, np.zeros((2, 2)), 1.0, 0.5, 1e-4, z)
    rate = 0.5 + np.outer(np.tanh(z), np.tanh(z))
    assert result.covariance == pytest.approx(1e-4 * rate, rel=1e-3)
    assert inner_limit("tanh", "erf", START, 1.0, 0.5, 0.0).covariance == pytest.approx(START)


@pytest.mark.parametrize("name", ["relu", "absolute", "leaky", "erf"])
def test_closed_forms_of_products_against_quadrature(name):
    psi = leaky_relu(0.3) if name == "leaky" else as_activation(name)
    covariance = np.array([[1.2, -0.5, 0.9], [-0.5, 0.7, -0.2], [0.9, -0.2, 0.8]])
    closed = product_means(psi, np.zeros(3), covariance)
    # with means the quadrature takes over
    numerical = product_means(psi, np.full(3, 1e-300), covariance)
    assert closed[0] == pytest.approx(numerical[0], rel=1e-9)
    assert closed[1] == pytest.approx(numerical[1], rel=1e-9)


def nested(f, mean, covariance, kink=None):
    """E f(x) f(y) by adaptive quadrature of y given x."""
    std = math.sqrt(covariance[0, 0])
    spread = math.sqrt(covariance[1, 1] - covariance[0, 1] ** 2 / covariance[0, 0])

    def density(t):
        return math.exp(-0.5 * t * t) / math.sqrt(2.0 * math.pi)

    def given(t):
        centre = mean[1] + covariance[0, 1] / std * t
        split = 0.0 if kink is None else min(8.9, max(-8.9, (kink - centre) / spread))
        inner = quad(
            lambda y: f(centre + spread * y) * density(y),
            -9,
            9,
            points=[split],
            epsabs=1e-12,
            epsrel=1e-10,
        )
        return f(mean[0] + std * t) * inner[0] * density(t)

    points = None if kink is None else [(kink - mean[0]) / std]
    return quad(given, -9, 9, points=points, epsabs=1e-11, epsrel=1e-10, limit=100)[0]


def test_quadrature_of_products_against_an_adaptive_one():
    mean, covariance = np.array([0.4, -0.2]), np.array([[1.5, 0.7], [0.7, 0.9]])
    tanh, tanh_slopes = product_means(as_activation("tanh"), mean, covariance)
    relu, _ = product_means(as_activation("relu"), mean, covariance)
    assert tanh[0, 1] == pytest.approx(nested(math.tanh, mean, covariance), rel=1e-9)
    assert tanh_slopes[0, 1] == pytest.approx(
        nested(lambda x: 1.0 - math.tanh(x) ** 2, mean, covariance), rel=1e-9
    )
    assert relu[0, 1] == pytest.approx(
        nested(lambda x: max(x, 0.0), mean, covariance, 0.0), rel=1e-8
    )
    assert relu[
        0, 0
    ] == pytest.approx(  # E max(x, 0)^2 at mean m: (m^2 + s^2) Phi(m/s) + m s phi(m/s)
        (0.16 + 1.5) * 0.5 * math.erfc(-0.4 / math.sqrt(3.0))
        + 0.4 * math.sqrt(1.5) * math.exp(-0.16 / 3.0) / math.sqrt(2.0 * math.pi),
        rel=1e-10,
    )


@pytest.mark.slow
def test_wide_distributions_through_smooth_activations():
    wide = product_means(
        as_activation("tanh"), np.zeros(2), 36.0 * np.array([[1.0, 0.5], [0.5, 1.0]])
    )[0]
    user = from_function(lambda x: jnp.tanh(x), kinks=(0.0,))  # on pieces instead
    assert wide[0, 1] == pytest.approx(
        product_means(user, np.zeros(2), 36.0 * np.array([[1.0, 0.5], [0.5, 1.0]]))[0][0, 1],
        rel=1e-7,
    )
    assert wide[0, 1] == pytest.approx(1.0 / 3.0, abs=0.06)  # of sign(x) sign(y)


def test_explosions_are_found_by_the_integration():
    time = explosion_times("silu", [16.0], 1.0, 1.0, [4.0])[0]
    with pytest.raises(SpecError, match=f"{time:.5g}"):
        inner_limit("silu", "linear", 0.0, 1.0, 1.0, 1.0, 4.0)
    grown = inner_limit("tanh", "linear", 1.0, 1.0, 0.0, 40.0)  # large, yet no explosion
    assert grown.covariance[0, 0] == pytest.approx(math.exp(40.0), rel=1e-6)


def test_relu_inside_is_the_identity_where_every_coordinate_is_positive():
    settings = (0.01, 0.1, 0.2, 0.5, 3.0)
    relu, linear = (inner_limit("silu", inner, *settings) for inner in ("relu", "linear"))
    for one, other in zip(relu, linear, strict=True):
        assert one == pytest.approx(other, rel=1e-8)


def test_two_layer_blocks():
    law = two_layer_log_mean_square_law("relu", 8, 1.96, 1.44)
    assert law == pytest.approx((1.0584, 0.7056), rel=1e-12)
    result = two_layer_limit("relu", START, 1.96, 1.44)
    assert np.diag(result) == pytest.approx(
        np.diag(START) * math.exp(law.mean + 0.5 * law.variance), rel=1e-8
    )

    def rate(_, state):  # of the overlap, arc-cosine by hand
        q = np.array([1.0, 0.6]) * np.exp(1.4112 * _)
        theta = math.acos(state[0] / math.sqrt(q[0] * q[1]))
        root = math.sqrt(q[0] * q[1])
        return [
            1.44
            * 1.96
            * root
            * (math.sin(theta) + (math.pi - theta) * math.cos(theta))
            / (2 * math.pi)
        ]

    expected = solve_ivp(rate, (0.0, 1.0), [0.3], rtol=1e-10, atol=1e-12).y[0, -1]
    assert result[0, 1] == pytest.approx(expected, rel=1e-7)
    assert result[0, 1] > 1.5 * 0.3 * math.exp(1.4112) * 0.5  # not the affine 0.3 e^C of psi = id
    linear = two_layer_log_mean_square_law("linear", 5, 1.96, 0.5)
    assert linear == pytest.approx(log_mean_square_law("linear", 5, 0.98))
    assert two_layer_limit("linear", START, 1.0, 0.7, 0.4) == pytest.approx(
        double_limit("linear", START, 0.7, 0.28).overlap, rel=1e-8
    )
    assert two_layer_limit("sigmoid", 0.0, 1.0, 1.0)[0, 0] > 0.25  # phi(0) != 0 is allowed here


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: inner_limit("softplus", "tanh", START, 1.0), "minus 0.693147"),
        (lambda: inner_limit("relu", "tanh", START, 1.0), "not smooth"),
        (lambda: inner_limit("tanh", "tanh", START, -1.0), "weight_var"),
        (lambda: inner_limit("tanh", "tanh", -START, 1.0), "semidefinite"),
        (lambda: inner_limit("tanh", "tanh", START, 1.0, mean=[1.0]), "mean of shape"),
        (lambda: two_layer_limit("x2_tanh", START, 1.0, 1.0), "grow"),
        (lambda: two_layer_limit("relu", START, 1.0, -1.0), "branch_var"),
        (lambda: two_layer_log_mean_square_law("tanh", 8, 1.0, 1.0), "homogeneous"),
        (lambda: two_layer_log_mean_square_law("relu", 0, 1.0, 1.0), "width"),
        (lambda: two_layer_log_mean_square_law("relu", 8, -1.0, 1.0), "weight_var"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
