"""Kernels of residual convolutions at infinite width: sums over patches, random networks."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from statistical import assert_mean

import deepinit as di
from deepinit.infinite_width.residual import position_kernels, residual_layers
from deepinit.networks.forward import random_forward
from deepinit.networks.linear_maps import FUNCTIONS
from deepinit.networks.rows import points_alone

UNIT = di.normal(1.0, "depth")


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
    narrow = dataclasses.replace(spec, weight_law=di.normal(0.5 / 3, "depth"))
    assert_mean(draws, kernels, rejects=position_kernels(narrow, x).nngp[0, :, 0])
