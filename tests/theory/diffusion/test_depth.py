import math

import numpy as np
import pytest

from deepinit.core.activations import BUILTIN
from deepinit.core.errors import SpecError
from deepinit.theory.diffusion import depth_bias, double_limit, linear_network


def copied(*inputs):
    """gram and mean of inputs copied to every coordinate."""
    z = np.array(inputs, dtype=float)
    return np.outer(z, z), z


def at_depth(activation, gram, mean, weight, bias, depth):
    """The infinitely wide network of finite depth: overlaps and tangent kernels (weights, biases)
    by quadrature."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(24)
    mass = mass / mass.sum()
    x, y = (axis.ravel() for axis in np.meshgrid(nodes, nodes, indexing="ij"))
    grid, dt = np.outer(mass, mass).ravel(), 1.0 / depth
    overlap, mean, kernels = gram.copy(), mean.copy(), np.zeros((2, 2, 2))
    for _ in range(depth):
        cov = dt * (bias + weight * overlap)
        first = math.sqrt(cov[0, 0])
        tilt = cov[0, 1] / first
        h = np.array([first * x, tilt * x + math.sqrt(max(cov[1, 1] - tilt**2, 0.0)) * y])
        values, slopes = activation(h), activation.derivative(h)
        moved, product, slope = (
            values @ grid,
            (values * grid) @ values.T,
            (slopes * grid) @ slopes.T,
        )
        kernels = kernels + slope * dt * (
            np.array([weight * overlap, np.full((2, 2), bias)]) + weight * kernels
        )
        overlap = overlap + np.outer(mean, moved) + np.outer(moved, mean) + product
        mean = mean + moved
    return np.array([overlap, *kernels])


def test_the_wide_network_of_finite_depth_reproduces_its_table():
    gram, mean = copied(1.0, 2.0)
    overlap, weight, bias = at_depth(BUILTIN["tanh"](), gram, mean, 1.0, 1.0, 64)
    values = (weight[0, 1], bias[0, 1], overlap[0, 0], overlap[0, 1])
    assert values == pytest.approx((4.696461, 1.366067, 3.944023, 6.068272), abs=1e-6)


@pytest.mark.parametrize("name", ["tanh", "linear", "erf"])
def test_the_bias_of_finite_depth_against_wide_networks(name):
    gram, mean = copied(0.5, 1.0)
    limit = double_limit(name, gram, 1.0, 0.5, mean=mean)
    bias = depth_bias(name, gram, 1.0, 0.5)

    def slope(depth):
        overlap, weights, biases = at_depth(BUILTIN[name](), gram, mean, 1.0, 0.5, depth)
        return depth * np.array([overlap - limit.overlap, weights + biases - limit.block_kernel])

    extrapolated = (slope(200) - 6.0 * slope(400) + 8.0 * slope(800)) / 3.0
    assert extrapolated == pytest.approx(np.array(bias), rel=2e-4)


def test_swish_networks_of_finite_depth_tend_to_the_limit():
    gram, mean = copied(1.0, 2.0)
    first, second, third = (
        at_depth(BUILTIN["silu"](), gram, mean, 1.0, 1.0, depth) for depth in (400, 800, 1600)
    )
    table = at_depth(BUILTIN["silu"](), gram, mean, 1.0, 1.0, 200)
    assert (table[1, 0, 1], table[2, 0, 1]) == pytest.approx((1.378135, 0.292828), abs=1e-6)
    limit = double_limit("silu", gram, 1.0, 1.0, mean=mean)
    extrapolated = (first - 6.0 * second + 8.0 * third) / 3.0
    assert extrapolated[0] == pytest.approx(limit.overlap, rel=1e-4)
    assert extrapolated[1] == pytest.approx(limit.weight_kernel, rel=1e-4)


def test_coefficients_of_the_depth_bias():
    gram, _ = copied(1.0, 2.0)
    result = depth_bias("tanh", gram, 1.0, 1.0)
    assert result.overlap[[0, 1, 0], [0, 1, 1]] == pytest.approx(
        (-40.08, -240.33, -102.16), abs=6e-3
    )
    assert result.block_kernel[0, 1] == pytest.approx(-208.4, abs=6e-2)
    assert depth_bias("linear", 1.0, 1.0, 1.0).overlap[0, 0] == pytest.approx(-math.e)
    # no weights: q_0 + E phi(N(0, dt))^2 L, Theta = E phi'^2
    unmoved = depth_bias("tanh", gram, 0.0, 1.0)
    assert unmoved.overlap == pytest.approx(np.full((2, 2), -2.0))
    assert unmoved.block_kernel == pytest.approx(np.full((2, 2), -2.0))


def test_linear_networks_are_exact_at_every_depth():
    gram, w, b = np.array([[0.15, -0.2], [-0.2, 0.9]]), 1.21, 0.36
    result = linear_network(gram, 40, w, b)
    values = (result.overlap[0, 0], result.block_kernel[0, 0], 0.15 * result.jacobian_mean_square)
    assert values == pytest.approx((1.1765, 1.7313, 0.4941), abs=6e-5)
    overlap, weights, biases = at_depth(BUILTIN["linear"](), gram, np.zeros(2), w, b, 7)
    exact = linear_network(gram, 7, w, b)
    assert exact.overlap == pytest.approx(overlap, rel=1e-12)
    assert exact.weight_kernel == pytest.approx(weights, rel=1e-12)
    assert np.full((2, 2), exact.bias_kernel) == pytest.approx(biases, rel=1e-12)
    assert linear_network(gram, 3, 0.0, b).bias_kernel == pytest.approx(b)
    limit = double_limit("linear", gram, w, b)
    assert linear_network(gram, 10**7, w, b).overlap == pytest.approx(limit.overlap, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: depth_bias("silu", 1.0, 1.0), r"phi''\(0\)"),
        (lambda: linear_network(1.0, 0, 1.0), "depth=0"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(SpecError, match=message):
        call()
