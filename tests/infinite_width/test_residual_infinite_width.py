"""Residual networks at infinite width: closed forms, published limits, other codes."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

import deepinit as di
from deepinit.core import activations as act
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.norms import mean_squares
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.infinite_width.residual import position_kernels, residual_layers
from deepinit.infinite_width.residual_duals import gaussian_products
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

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


COVARIANCE, MEANS = np.array([[0.8, 0.3], [0.3, 0.5]]), np.array([[0.4, -0.7], [-0.2, 1.1]])


def found_products(activation, engine):
    with host_float64():
        compiled = jax.jit(
            lambda means, covariance: gaussian_products(activation, means, covariance, engine)
        )
        return [np.asarray(part) for part in compiled(MEANS, COVARIANCE)[:3]]


@pytest.mark.slow
def test_products_of_a_smooth_activation_with_means_equal_a_dense_rule():
    nodes = np.linspace(-9.0, 9.0, 301)
    a, b = np.meshgrid(nodes, nodes, indexing="ij")
    density = np.exp(-0.5 * (a * a + b * b)) / (2.0 * np.pi) * (nodes[1] - nodes[0]) ** 2
    u = (
        MEANS[..., None, None]
        + np.einsum("ij,jab->iab", np.linalg.cholesky(COVARIANCE), np.stack([a, b]))[:, None]
    )
    for engine in ("series", "quadrature"):
        values, slopes, means = found_products(act.gelu, engine)
        np.testing.assert_allclose(
            values, np.einsum("idab,jdab,ab->ij", *2 * [act.gelu(u)], density) / 2, rtol=1e-11
        )
        slopes_expected = np.einsum("idab,jdab,ab->ij", *2 * [act.gelu.derivative(u)], density) / 2
        np.testing.assert_allclose(slopes, slopes_expected, rtol=1e-11)
        np.testing.assert_allclose(
            means, np.einsum("idab,ab->i", act.gelu(u), density) / 2, rtol=1e-11
        )


@pytest.mark.slow
def test_products_of_relu_with_means_equal_one_dimensional_integrals():
    values, slopes, means = found_products(act.relu, "quadrature")
    stds, covariance = np.sqrt(np.diagonal(COVARIANCE)), COVARIANCE[0, 1]

    def positive_part(mean, std):
        return mean * stats.norm.cdf(mean / std) + std * stats.norm.pdf(mean / std)

    rest = np.sqrt(COVARIANCE[1, 1] - covariance**2 / COVARIANCE[0, 0])

    def pair(function, seen):
        def of_coordinate(first, second):
            def integrand(u):
                at = second + covariance / COVARIANCE[0, 0] * (u - first)
                return function(u) * seen(at) * stats.norm.pdf(u, first, stds[0])

            return integrate.quad(
                integrand, 0.0, first + 9.0 * stds[0], epsabs=1e-13, epsrel=1e-12
            )[0]

        return np.mean([of_coordinate(*coordinate) for coordinate in MEANS.T])

    np.testing.assert_allclose(
        values[0, 1], pair(lambda u: u, lambda at: positive_part(at, rest)), rtol=1e-9
    )
    np.testing.assert_allclose(
        slopes[0, 1], pair(lambda u: 1.0, lambda at: stats.norm.cdf(at / rest)), rtol=1e-9
    )
    np.testing.assert_allclose(
        np.diagonal(slopes), stats.norm.cdf(MEANS / stds[:, None]).mean(1), rtol=1e-9
    )
    np.testing.assert_allclose(means, positive_part(MEANS, stds[:, None]).mean(1), rtol=1e-9)


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


@pytest.mark.parametrize("padding", ["zero", "circular"])
@pytest.mark.slow
def test_linear_convolutions_sum_their_kernels_over_the_patches(padding):
    length, depth, weight = 4, 2, 0.7
    x = np.random.default_rng(2).normal(size=(2, length * 3))
    spec = di.ConvResNet(
        (length,),
        3,
        depth,
        padding=padding,
        activation="linear",
        weight_law=di.normal(weight, "depth"),
        bias_law=UNIT,
    )
    images = x.reshape(2, length, 3)
    kernel = np.einsum("ipc,jqc->ipjq", images, images) / 3
    tangent = np.zeros_like(kernel)

    def patches(matrix):
        total = np.zeros_like(matrix)
        for p, q, step in itertools.product(range(length), range(length), (-1, 0, 1)):
            if padding == "circular" or (0 <= p + step < length and 0 <= q + step < length):
                total[:, p, :, q] += matrix[:, (p + step) % length, :, (q + step) % length]
        return total

    for _ in range(depth):
        new = (1.0 + weight * patches(kernel)) / depth
        kernel, tangent = kernel + new, tangent + new + weight / depth * patches(tangent)
    found = position_kernels(spec, x)
    np.testing.assert_allclose(found.nngp, kernel, rtol=1e-12)
    np.testing.assert_allclose(found.ntk, tangent, rtol=1e-12)
    np.testing.assert_allclose(residual_layers(spec, x).nngp[-1], kernel.mean((1, 3)), rtol=1e-12)


def stream_moments(spec, x, num, key=0):
    """[num, sites, sites]: products of the stream of random networks, averaged over channels."""

    def one(key):
        _, rows = random_forward(
            spec,
            points_alone(jnp.asarray(x, jnp.float32)),
            key,
            lambda state: (),
            linear_map=FUNCTIONS["conditional"],
        )
        stream = (jnp.exp(rows.point_scales)[:, None] * rows.points).reshape(
            len(x) * spec.positions, -1
        )
        return stream @ stream.T / stream.shape[1]

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(key), seed))(jnp.arange(num))
    return np.asarray(jax.jit(jax.vmap(one))(keys), np.float64)


def scores(draws, expected):
    """z-scores of the entries on and above the diagonal."""
    upper = np.triu_indices(len(expected))
    draws = draws[:, upper[0], upper[1]]
    return (draws.mean(0) - expected[upper]) / (draws.std(0) / np.sqrt(len(draws)))


@pytest.mark.parametrize(
    ("phi", "psi"),
    [
        ("linear", "tanh"),
        pytest.param("tanh", "linear", marks=pytest.mark.slow),
        pytest.param("silu", "linear", marks=pytest.mark.slow),
    ],
)
@pytest.mark.exhaustive
def test_random_convolutions_of_64_channels_have_these_kernels(phi, psi):
    spec = di.ConvResNet(
        (4,),
        64,
        6,
        padding="zero",
        activation=phi,
        inner_activation=psi,
        weight_law=di.normal(0.5, "depth"),
        bias_law=UNIT,
    )
    x = np.random.default_rng(3).normal(size=(1, 4 * 64)) + np.repeat([1.0, 0.2, -0.5, 0.8], 64)
    draws = stream_moments(spec, x, 600)
    kernels = position_kernels(spec, x).nngp[0, :, 0]
    # resolves 5 standard errors, 4 % of a mean square; a fan-in that counts the patch is seen
    assert np.abs(scores(draws, kernels)).max() < 5.0
    narrow = dataclasses.replace(spec, weight_law=di.normal(0.5 / 3, "depth"))
    assert np.abs(scores(draws, position_kernels(narrow, x).nngp[0, :, 0])).max() > 10.0
