"""Residual networks at infinite width: closed forms, published limits, other codes."""

import numpy as np
import pytest

import deepinit as di
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.norms import mean_squares
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.infinite_width.residual import residual_layers

UNIT = di.normal(1.0, "depth")
COPIED = np.outer([1.0, 2.0], np.ones(4))  # z = 1 and 2 in every coordinate
PAIR = np.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.8]])
BIAS = di.normal(0.2, "absolute")
EMBEDDING = di.normal(1.3)


def copied(depth, trained=("weights", "biases")):
    spec = di.ResNet(4, depth, block="shallow", weight_law=UNIT, bias_law=UNIT)
    return residual_layers(spec, COPIED, trained=trained)


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (16, [2.864414, 0.955127, 3.179440, 4.745604]),
        (64, [4.696461, 1.366067, 3.944023, 6.068272]),
        (256, [5.844601, 1.601384, 4.290327, 6.800602]),
    ],
)
@pytest.mark.slow
def test_tanh_blocks_have_the_reference_values_of_weights_and_biases_apart(depth, expected):
    weights, biases = (copied(depth, (name,)) for name in ("weights", "biases"))
    moments = weights.nngp[-1]
    found = [weights.ntk[-1][0, 1], biases.ntk[-1][0, 1], moments[0, 0], moments[0, 1]]
    np.testing.assert_allclose(found, expected, atol=6e-7)
    np.testing.assert_allclose(np.diagonal(moments), weights.mean_square[-1], rtol=1e-14)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_tanh_blocks_approach_the_limit_of_depth_with_the_derived_first_order():
    # b = 0, all scales 1: lambda = (lambda_0 + 1) e - 1, Theta = (lambda_0 + 1) e;
    # first orders -40.08, -240.33, -102.16, -208.4
    e = np.e
    start = np.array([1.0, 4.0, 2.0])  # (1, 1), (2, 2), (1, 2)
    s, total = 1.0 + start, np.array([4.0, 10.0, 7.0])
    second = -total * s * e * (e - 1.0) - 0.5 * s * e  # c = -2
    tangent = e * s * (-total * (2.0 * e - 2.0) - 1.5)

    def scaled(depth):
        layers = copied(depth)
        entries = ([0, 1, 0], [0, 1, 1])
        return depth * np.array(
            [layers.nngp[-1][entries] - (s * e - 1.0), layers.ntk[-1][entries] - s * e]
        )

    coarse, middle, fine = (scaled(depth) for depth in (256, 1024, 4096))
    finer, once = (
        (4.0 * fine - middle) / 3.0,
        (4.0 * middle - coarse) / 3.0,
    )  # without the second order in 1/depth
    orders = (16.0 * finer - once) / 15.0  # nor the third
    np.testing.assert_allclose(orders, [second, tangent], rtol=3e-4)
    np.testing.assert_allclose(second, [-40.08, -240.33, -102.16], atol=0.01)
    np.testing.assert_allclose(tangent[2], -208.4, atol=0.05)


def test_linear_blocks_with_embedding_and_readout_equal_the_products_over_blocks():
    depth, weight, bias, embedding, output = 7, 1.21, 0.36, 1.3, 0.8
    spec = di.ResNet(
        5,
        depth,
        block="shallow",
        activation="linear",
        weight_law=di.normal(weight, "depth"),
        bias_law=di.normal(bias, "depth"),
        embedding_law=di.normal(embedding),
        output_width=2,
        output_law=di.normal(output),
    )
    start, r, growth = embedding * PAIR @ PAIR.T / 3, bias / weight, 1.0 + weight / depth
    second = (start + r) * growth**depth - r
    blocks = (start + r) * weight * growth ** (depth - 1)
    everything = residual_layers(spec, PAIR)
    np.testing.assert_allclose(everything.nngp[-2:], [second, output * second], rtol=1e-13)
    np.testing.assert_allclose(
        everything.ntk[-1], output * (second + blocks + start * growth**depth), rtol=1e-13
    )
    shares = {
        ("output",): second,
        ("biases",): r * (growth**depth - 1.0) * np.ones((2, 2)),
        ("weights",): blocks - r * (growth**depth - 1.0),
        ("embedding",): start * growth**depth,
        (): 0.0 * start,
    }
    for trained, expected in shares.items():
        np.testing.assert_allclose(
            residual_layers(spec, PAIR, trained=trained).ntk[-1], output * expected, rtol=1e-12
        )
    np.testing.assert_array_equal(kernel_layers(spec, PAIR).ntk, everything.ntk)
    np.testing.assert_allclose(mean_squares(spec, PAIR)[-1], np.diagonal(second), rtol=1e-13)


NETWORKS = {
    "pre-activation": (
        di.ResNet(
            4,
            32,
            block="shallow",
            activation="linear",
            inner_activation="erf",
            weight_law=di.normal(1.21, "depth"),
            bias_law=di.normal(0.16, "depth"),
            embedding_law=di.normal(3.0),
        ),
        PAIR,
        1e-12,
    ),
    # neural-tangents keeps half the digits of the angle between rectified coordinates
    "two layers": (
        di.ResNet(4, 6, bias_law=BIAS, output_width=2, embedding_law=EMBEDDING),
        PAIR,
        1e-7,
    ),
    "two layers and psi": (
        di.ResNet(
            4, 6, activation="erf", inner_activation="gelu", bias_law=BIAS, embedding_law=EMBEDDING
        ),
        PAIR,
        1e-12,
    ),
    "convolution, zero padding": (
        di.ConvResNet(
            (3, 3),
            4,
            5,
            padding="zero",
            activation="linear",
            inner_activation="erf",
            bias_law=BIAS,
            embedding_law=EMBEDDING,
            output_width=1,
        ),
        np.random.default_rng(1).normal(size=(2, 18)),
        1e-12,
    ),
    "convolution around a ring": (
        di.ConvResNet(
            (5,),
            4,
            5,
            activation="linear",
            inner_activation="relu",
            bias_law=BIAS,
            embedding_law=EMBEDDING,
        ),
        np.random.default_rng(1).normal(size=(2, 10)),
        1e-7,
    ),
}


SLOW = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("two layers", "convolution around a ring")
]


@pytest.mark.parametrize(
    "name", ["pre-activation", "two layers and psi", "convolution, zero padding", *SLOW]
)
@pytest.mark.slow_cases("pre-activation", "two layers and psi")
@pytest.mark.exhaustive_cases(
    "convolution around a ring", "convolution, zero padding", "two layers"
)
def test_neural_tangents_and_the_recursion_agree(name):
    spec, x, tolerance = NETWORKS[name]
    nngp, ntk = nngp_and_ntk(spec, x)
    layers = kernel_layers(spec, x)
    np.testing.assert_allclose(layers.nngp[-1], nngp, rtol=tolerance)
    np.testing.assert_allclose(layers.ntk[-1], ntk, rtol=tolerance)
    assert (
        np.abs(layers.ntk[spec.depth - 2] / ntk - 1.0).max() > 1e-2
    )  # one block fewer would be seen


def test_pre_activation_erf_blocks_have_the_reference_values():
    spec, x, _ = NETWORKS["pre-activation"]
    layers = kernel_layers(spec, x)
    upper = ([0, 0, 1], [0, 1, 1])
    np.testing.assert_allclose(
        layers.nngp[-1][upper], [2.12584434, -0.31112896, 2.61748604], atol=6e-9
    )
    np.testing.assert_allclose(
        layers.ntk[-1][upper], [3.3291438, -0.44324203, 3.96518414], atol=6e-9
    )


@pytest.mark.slow
def test_rectified_two_layer_blocks_grow_by_half_the_variances():
    spec = di.ResNet(3, 9, weight_law=di.normal(1.4), branch_law=di.normal(1.8, "depth"))
    growth = 1.0 + 1.4 * 0.5 * 1.8 / 9
    powers = growth ** np.arange(1, 10)
    squares = np.outer(powers, np.mean(PAIR**2, axis=1))
    np.testing.assert_allclose(mean_squares(spec, PAIR), squares, rtol=1e-13)
    # every block adds two equal shares, weights and branch
    ntk = squares * 2.0 * (growth - 1.0) / growth * np.arange(1, 10)[:, None]
    np.testing.assert_allclose(
        np.diagonal(kernel_layers(spec, PAIR).ntk, axis1=1, axis2=2), ntk, rtol=1e-13
    )


@pytest.mark.exhaustive
def test_a_two_layer_block_adds_the_kernel_of_a_perceptron_also_at_large_variances():
    # std 10: the series misses a thousandth, so that this is the quadrature over pairs
    block = di.ResNet(
        3,
        1,
        3,
        activation="tanh",
        weight_law=di.normal(100.0),
        branch_law=di.normal(1.5),
        bias_law=BIAS,
    )
    layers = residual_layers(block, PAIR)
    mlp = di.MLP(
        (3,),
        "tanh",
        weight_law=di.normal(100.0),
        bias_law=BIAS,
        output_width=1,
        output_law=di.normal(1.5),
    )
    plain = kernel_layers(mlp, PAIR)
    np.testing.assert_allclose(
        layers.nngp[-1], PAIR @ PAIR.T / 3 + plain.nngp[-1] - 0.2, rtol=1e-10
    )
    np.testing.assert_allclose(layers.ntk[-1], plain.ntk[-1] - 0.2, rtol=1e-9)


START = np.array([[1.0, 0.3], [0.3, 0.6]])  # of one coordinate after the embedding


def in_the_limit_of_depth(phi, psi, weight_std, bias_std):
    """(mean, second moments, block tangent kernel), from 64 and 256 blocks: error 1/depth^2."""
    x = np.sqrt(2.0) * np.linalg.cholesky(START)

    def at(depth):
        spec = di.ResNet(
            2,
            depth,
            block="shallow",
            activation=phi,
            inner_activation=psi,
            weight_law=di.normal(weight_std**2, "depth"),
            bias_law=di.normal(bias_std**2, "depth"),
            embedding_law=di.normal(1.0),
        )
        layers = residual_layers(spec, x, trained=("weights", "biases"))
        upper = ([0, 0], [0, 1])
        return np.array([layers.mean[-1][0], *layers.nngp[-1][upper], *layers.ntk[-1][upper]])

    return (4.0 * at(256) - at(64)) / 3.0


@pytest.mark.parametrize(
    ("phi", "psi", "stds", "expected"),
    [
        pytest.param(
            "tanh", "erf", (1.5, 0.3), [0.0, 2.3258, 0.8026, 2.2347, 0.7345], marks=pytest.mark.slow
        ),
        pytest.param(
            "tanh",
            "relu",
            (1.2, 0.3),
            [0.0, 2.1862, 0.8956, 1.6641, 0.7389],
            marks=pytest.mark.slow,
        ),
        ("silu", "tanh", (1.5, 0.5), [0.3006, 1.3909, 0.5237, 0.3390, 0.1638]),
    ],
)
@pytest.mark.slow_cases("silu-tanh-stds2-expected2")
@pytest.mark.exhaustive_cases("tanh-erf-stds0-expected0", "tanh-relu-stds1-expected1")
def test_an_inner_activation_has_its_known_limit_of_depth(phi, psi, stds, expected):
    np.testing.assert_allclose(
        in_the_limit_of_depth(phi, psi, *stds), expected, rtol=2e-3, atol=1e-4
    )
