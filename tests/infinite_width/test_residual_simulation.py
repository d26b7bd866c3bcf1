"""Kernels of residual networks against explicit random networks; the Gaussian closure."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import deepinit as di
from deepinit.infinite_width.residual import PARAMETERS, position_kernels, residual_layers
from deepinit.networks.network import network

pytestmark = pytest.mark.slow

UNIT = di.normal(1.0, "depth")
BIAS = di.normal(0.2, "absolute")
PAIR = np.array([[1.0, 0.5, -0.2], [0.3, -1.0, 0.8]])


def entry_variances(spec, dimension):
    """{name: variance of one weight}, and of one bias in the blocks and in the output layer."""
    is_conv = isinstance(spec, di.ConvResNet)
    stream = spec.channels if is_conv else spec.width
    groups = {"weights": spec.weight_law.entry_variance(stream, spec.depth)}
    groups["embedding"] = spec.embedding_law.entry_variance(dimension // spec.positions)
    groups["output"] = spec.output_law.entry_variance(stream)
    if not is_conv and spec.branch_law is not None:
        groups["branch"] = spec.branch_law.entry_variance(spec.branch_width, spec.depth)
    groups["biases"] = spec.bias_law.entry_variance(1, spec.depth)
    return groups


def tangent_kernels(spec, x, num):
    """[num, groups, 2, 2]: shares of PARAMETERS in the tangent kernel of one output."""
    init, apply, *_ = network(spec)
    x = jnp.asarray(x, jnp.float32)
    variances = entry_variances(spec, x.shape[1])

    def one(key):
        parameters = init(key, x.shape[1])
        gradients = jax.vmap(jax.grad(lambda p, row: apply(p, row)[0]), (None, 0))(parameters, x)
        embedding, run, output = gradients
        groups = {
            "embedding": [embedding["weights"]],
            "weights": [run["inner"]["weights"]],
            "branch": [run["outer"]["weights"]] if "outer" in run else [],
            "biases": [layer["biases"] for layer in (run["inner"], output) if "biases" in layer],
            "output": [output["weights"]],
        }

        def share(name):
            rows = [leaf.reshape(2, -1) for leaf in groups[name]]
            return variances.get(name, 0.0) * sum((row @ row.T for row in rows), jnp.zeros((2, 2)))

        return jnp.stack([share(name) for name in PARAMETERS])

    keys = jax.vmap(lambda seed: jax.random.fold_in(jax.random.key(5), seed))(jnp.arange(num))
    return np.asarray(jax.jit(lambda keys: jax.lax.map(one, keys))(keys), np.float64)


def conv(channels, **given):
    return di.ConvResNet(
        (3,),
        channels,
        5,
        padding="zero",
        bias_law=BIAS,
        embedding_law=di.normal(1.3),
        output_width=1,
        **given,
    )


def dense(width, **given):
    return di.ResNet(width, 5, bias_law=BIAS, embedding_law=di.normal(1.3), output_width=1, **given)


SPECS = {
    "tanh": dense(256, block="shallow", activation="tanh"),
    "silu": dense(256, block="shallow", activation="silu"),
    "pre-activation": dense(256, block="shallow", activation="linear", inner_activation="relu"),
    "two layers": dense(256, activation="relu", inner_activation="tanh"),
    "convolution": conv(128, activation="silu"),
    "convolution before an inner activation": conv(
        128, activation="linear", inner_activation="tanh"
    ),
}


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.exhaustive
def test_tangent_kernels_of_wide_networks_have_these_shares(name):
    spec = SPECS[name]
    x = np.random.default_rng(4).normal(size=(2, 6)) if isinstance(spec, di.ConvResNet) else PAIR
    draws = tangent_kernels(spec, x, 150)
    upper = ([0, 0, 1], [0, 1, 1])
    seen = draws[:, :, *upper]
    error = seen.std(0) / np.sqrt(len(seen)) + 1e-12
    groups = [residual_layers(spec, x, trained=(group,)).ntk[-1][upper] for group in PARAMETERS]
    # one per cent for 1 / width; the gate resolves about 5 %
    z = np.abs(seen.mean(0) - groups) - 0.01 * np.abs(groups)
    assert np.max(z / error) < 5.0, z / error
    # an activation without its second moment, or one block less, would be seen
    shorter = dataclasses.replace(
        spec,
        depth=4,
        weight_law=dataclasses.replace(spec.weight_law, variance=0.8 * spec.weight_law.variance),
    )
    rival = [residual_layers(shorter, x, trained=(group,)).ntk[-1][upper] for group in PARAMETERS]
    assert np.max((np.abs(seen.mean(0) - rival) - 0.01 * np.abs(rival)) / error) > 5.0


@pytest.mark.exhaustive
def test_the_ring_has_its_known_kernel_in_the_limit_of_depth():
    image = np.repeat([1.0, 0.2, -0.5, 0.3, 0.8, -0.1], 2)[None]

    def at(depth):
        spec = di.ConvResNet(
            (6,), 2, depth, weight_law=di.normal(0.49, "depth"), bias_law=di.normal(0.16, "depth")
        )
        return position_kernels(spec, image).nngp[0, 0, 0]

    expected = [2.6566, 0.5608, -0.5392, 1.2339, 1.7678, 0.2878]
    np.testing.assert_allclose((4.0 * at(3200) - at(800)) / 3.0, expected, atol=1.5e-4)


def exact_mean_square(phi, psi, depth):
    """E x_L^2 at one input by the characteristic function of the stream.

    Start N(0, 1), weight variance 2.25 and bias variance 0.25.
    """
    num, reach = 2**13, 14.0
    grid = np.linspace(-reach, reach, num, endpoint=False)
    spacing = grid[1] - grid[0]
    frequencies = 2.0 * np.pi * np.fft.fftfreq(num, spacing)
    nodes, weights = np.polynomial.hermite_e.hermegauss(120)
    weights = weights / weights.sum()
    characteristic = np.exp(-0.5 * frequencies**2)
    mean, variance = 0.0, 1.0
    for _ in range(depth):
        density = np.real(np.fft.fftshift(np.fft.fft(characteristic))) / (num * spacing)
        std = np.sqrt(
            (0.25 + 2.25 * np.sum(density * np.asarray(psi(grid)) ** 2) * spacing) / depth
        )
        shifts = np.asarray(phi(std * nodes))
        characteristic = characteristic * (np.exp(1j * np.outer(frequencies, shifts)) @ weights)
        mean, variance = (
            mean + weights @ shifts,
            variance + weights @ shifts**2 - (weights @ shifts) ** 2,
        )
    return mean**2 + variance


@pytest.mark.parametrize(
    ("phi", "psi", "order"), [("silu", "tanh", 1), ("silu", "relu", 1), ("tanh", "tanh", 2)]
)
@pytest.mark.exhaustive
def test_the_gaussian_closure_of_two_nonlinearities_errs_in_the_stated_order(phi, psi, order):
    def error(depth):
        spec = di.ResNet(
            2,
            depth,
            block="shallow",
            activation=phi,
            inner_activation=psi,
            weight_law=di.normal(2.25, "depth"),
            bias_law=di.normal(0.25, "depth"),
            embedding_law=di.normal(1.0),
        )
        layers = residual_layers(spec, np.ones((1, 2)))
        return abs(
            layers.mean_square[-1][0]
            - exact_mean_square(spec.activation, spec.inner_activation, depth)
        )

    coarse, fine = error(16), error(64)
    assert 1e-7 < fine < 5e-3
    # halfway between the orders on the log scale; the next orders in 1/depth still matter
    assert abs(np.log(coarse / fine) / np.log(4.0) - order) < 0.5
