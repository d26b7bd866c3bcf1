"""Perceptrons are read as layers with the laws of their initializers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from models_to_read import INIT, Perceptron, Plain, three_arrays

import deepinit as di
from deepinit.core.layers import Activation, Dense, RMSNorm, Sequential

X = np.ones((2, 5), np.float32)
LECUN = di.truncated_normal(1.0)


def perceptron(first, second, phi, last, bias=None):
    dense = lambda law: (Dense(32, law, bias), Activation(phi))
    return Sequential(*dense(first), *dense(second), Dense(8, last))


CASES = {
    "defaults": (Perceptron(), perceptron(LECUN, LECUN, "relu", LECUN)),
    "normal, biases": (
        Perceptron(jnp.tanh, INIT.normal(0.1), INIT.normal(0.3)),
        perceptron(
            *(di.normal(0.05), di.normal(0.32), "tanh", di.normal(0.32)),
            bias=di.normal(0.09, "absolute"),
        ),
    ),
    "tanh form of gelu": (
        Perceptron(nn.gelu, INIT.he_normal()),
        perceptron(*2 * (di.truncated_normal(2.0),), di.gelu_tanh, di.truncated_normal(2.0)),
    ),
    "exact gelu, orthogonal": (
        Perceptron(lambda x: nn.gelu(x, approximate=False), INIT.orthogonal(2.0)),
        perceptron(*(di.orthogonal(4 * 5 / 32), di.orthogonal(4.0), di.gelu, di.orthogonal(4.0))),
    ),
    "slope, constant biases": (
        Perceptron(lambda x: nn.leaky_relu(x, 0.2), bias=INIT.constant(0.1)),
        perceptron(LECUN, LECUN, di.leaky_relu(0.2), LECUN, bias=di.constant(0.1)),
    ),
    "glorot": (
        Perceptron(nn.elu, INIT.glorot_uniform()),
        perceptron(di.uniform(10 / 37), di.uniform(1.0), "elu", di.uniform(64 / 40)),
    ),
    "a factor behind an activation acts in the next law": (
        Perceptron(lambda x: jnp.sqrt(2.0) * nn.silu(x)),
        perceptron(LECUN, di.truncated_normal(2.0), "silu", di.truncated_normal(2.0)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_linen_perceptron(name):
    module, expected = CASES[name]
    assert di.read_layers(di.from_linen(module), X) == expected


def test_gaussian_weights_of_the_same_variance():
    network = di.from_linen(Perceptron()).with_gaussian_weights()
    assert di.read_layers(network, X) == perceptron(*2 * (di.normal(1.0),), "relu", di.normal(1.0))


def test_an_nnx_module():
    expected = Sequential(Dense(32, LECUN), RMSNorm(1e-6), Activation("tanh"), Dense(1, LECUN))
    assert di.read_layers(di.from_nnx(Plain), di.inputs.pair(0.5, 5)) == expected


def test_an_equinox_module():
    network = di.from_equinox(lambda key: eqx.nn.MLP(5, 1, 32, 2, key=key))
    dense = lambda width, fan_in: Dense(
        width, di.uniform(1 / 3), di.uniform(1 / (3 * fan_in), "absolute")
    )
    hidden = dense(32, 5), Activation("relu"), dense(32, 32), Activation("relu")
    assert di.read_layers(network, X) == Sequential(*hidden, dense(1, 32))


def test_numbers_are_part_of_the_laws_around_them():
    apply = lambda p, x: 0.5 * (2 * (x @ p["a"]) - 3 * p["c"]) @ (0.25 * p["b"])
    expected = Sequential(
        Dense(16, di.normal(5.0), di.normal(2.25, "absolute")), Dense(16, di.normal(1.0))
    )
    assert di.read_layers(di.batch_network(three_arrays, apply), X) == expected


def test_a_uniform_law_between_other_bounds():
    init = lambda key, x: {"a": 2 * jax.random.uniform(key, (5, 16)) - 1}
    found = di.read_layers(di.batch_network(init, lambda p, x: x @ p["a"]), X)
    assert found == Sequential(Dense(16, di.uniform(5 / 3)))


def test_an_activation_of_ones_own():
    own = lambda x: jnp.tanh(2 * x) + 0.1 * x
    found = di.read_layers(di.from_linen(Perceptron(own)), X)
    first, second = found.layers[1], found.layers[3]
    assert first == second
    at = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(di.from_function(own)(at), first.phi(at), rtol=1e-6)


def test_a_double_precision_network():
    apply = lambda p, x: jnp.tanh(x @ p["a"].astype(x.dtype)) @ p["b"].astype(x.dtype)
    with jax.enable_x64():
        found = di.read_layers(di.batch_network(three_arrays, apply), X.astype(np.float64))
    expected = Sequential(Dense(16, di.normal(5.0)), Activation("tanh"), Dense(16, di.normal(16.0)))
    assert found == expected
