"""The infinite-width interpreter against neural-tangents, layer by layer."""

import warnings

import jax
import numpy as np
import pytest

from deepinit.core.laws import normal
from deepinit.core.layers import (
    Activation,
    Conv,
    Dense,
    Flatten,
    LayerNorm,
    Pool,
    Repeat,
    Residual,
    Sequential,
)
from deepinit.infinite_width.kernel_matrices import kernel_matrices
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.infinite_width.precision import host_float64

W, B = 1.7, 0.2
LAW, BIAS = normal(W), normal(B, "absolute")
STD = {"W_std": W**0.5, "b_std": B**0.5}
IMAGES = np.random.default_rng(0).standard_normal((3, 5, 5, 2))
OTHERS = np.concatenate([np.random.default_rng(1).standard_normal((2, 5, 5, 2)), IMAGES[:1]])
ROWS, OTHER_ROWS = IMAGES[:, 0, 0], OTHERS[:, 0, 0]


def conv(size=3, stride=1, padding="zero"):
    return Conv(4, size, stride, padding, LAW, BIAS)


def stax_conv(size=3, stride=1, padding="SAME"):
    return neural_tangents().stax.Conv(1, (size, size), (stride, stride), padding, **STD)


def dense(width=4):
    return Dense(width, LAW, BIAS)


def stax_dense():
    return neural_tangents().stax.Dense(1, **STD)


def relu():
    return neural_tangents().stax.Relu()


def images():
    stax = neural_tangents().stax
    head, stax_head = (Flatten(), dense(1)), (stax.Flatten(), stax_dense())
    pool, stax_pool = (Pool(), dense(1)), (stax.GlobalAvgPool(), stax_dense())
    block = Residual(Sequential(conv(), Activation("relu"), conv()))
    stax_block = stax.serial(
        stax.FanOut(2),
        stax.parallel(stax.Identity(), stax.serial(stax_conv(), relu(), stax_conv())),
        stax.FanInSum(),
    )
    return {
        "zero_flatten": ((conv(), Activation("relu"), *head), (stax_conv(), relu(), *stax_head)),
        "circular_strided_mean": (
            (conv(3, 2, "circular"), Activation("erf"), *pool),
            (stax_conv(3, 2, "CIRCULAR"), stax.Erf(), *stax_pool),
        ),
        "valid_strided": (
            (conv(2, 1, "valid"), Activation("relu"), conv(2, 2, "valid"), *head),
            (stax_conv(2, 1, "VALID"), relu(), stax_conv(2, 2, "VALID"), *stax_head),
        ),
        "windows": (
            (conv(), Activation("gelu"), Pool("mean", 2, 1), conv(), Activation("relu"), *pool),
            (
                *(stax_conv(), stax.Gelu(), stax.AvgPool((2, 2), (1, 1)), stax_conv(), relu()),
                *stax_pool,
            ),
        ),
        "layer_norm": (
            (conv(), LayerNorm(1e-5, gain=False), Activation("relu"), conv(), *pool),
            (stax_conv(), stax.LayerNorm(eps=1e-5), relu(), stax_conv(), *stax_pool),
        ),
        "residual": (
            (conv(), Repeat(block, 2), Activation("relu"), *pool),
            (stax_conv(), stax_block, stax_block, relu(), *stax_pool),
        ),
    }


def vectors():
    stax = neural_tangents().stax
    tail, stax_tail = (dense(), Activation("relu"), dense(1)), (stax_dense(), relu(), stax_dense())
    wide = Residual(dense(), skip=dense())
    stax_wide = stax.serial(
        stax.FanOut(2), stax.parallel(stax_dense(), stax_dense()), stax.FanInSum()
    )
    functions = {
        "relu": stax.Relu(),
        "leaky_relu": stax.LeakyRelu(0.01),
        "absolute": stax.Abs(),
        "erf": stax.Erf(),
        "sin": stax.Sin(),
        "gelu": stax.Gelu(),
    }
    nets = {
        name: ((dense(), Activation(name), *tail), (stax_dense(), other, *stax_tail))
        for name, other in functions.items()
    }
    nets["skip_of_its_own"] = (
        (wide, Activation("erf"), *tail),
        (stax_wide, stax.Erf(), *stax_tail),
    )
    nets["norm"] = (
        (dense(), LayerNorm(1e-5, gain=False), Activation("relu"), *tail),
        (stax_dense(), stax.LayerNorm(eps=1e-5), relu(), *stax_tail),
    )
    return nets


def by_neural_tangents(layers, first, second):
    with host_float64(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kernel_fn = neural_tangents().stax.serial(*layers)[2]
        kernels = jax.jit(lambda x, y: kernel_fn(x, y, ("nngp", "ntk")))(first, second)
        return np.asarray(kernels.nngp), np.asarray(kernels.ntk)


def hold_together(nets, name, first, second):
    layers, stax_layers = nets[name]
    found = kernel_matrices(Sequential(*layers), first, second)
    exact = by_neural_tangents(stax_layers, first, second)
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-7)
    assert np.abs(found.ntk / found.nngp - 1.0).max() > 0.1  # the two are told apart


@pytest.mark.parametrize("name", images())
@pytest.mark.slow
def test_networks_of_images(name):
    hold_together(images(), name, IMAGES, OTHERS)


@pytest.mark.slow_cases("gelu", "norm", "skip_of_its_own")
@pytest.mark.parametrize("name", vectors())
@pytest.mark.slow_cases("leaky_relu", "absolute", "sin", "erf")
def test_networks_of_vectors(name):
    hold_together(vectors(), name, ROWS, OTHER_ROWS)
