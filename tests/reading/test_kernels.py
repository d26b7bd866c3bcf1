"""Kernels of a model with their laws in words."""

import equinox as eqx
import jax
import numpy as np
from models_to_read import INIT, Decoder, Images, Perceptron, Stack

import deepinit as di
from deepinit.reading.kernels import kernels

X = np.ones((2, 5), np.float32)


def words(network, inputs=X):
    return [(kernel.name, kernel.law) for kernel in kernels(network, inputs)]


def test_the_defaults_of_flax():
    half = "truncated normal, variance 1/fan_in: half of He"
    names = [f"Dense_{number}/kernel" for number in range(3)]
    assert words(di.from_linen(Perceptron())) == [(name, half) for name in names]


def test_usual_laws_have_their_names():
    he = "truncated normal, variance 2/fan_in: He"
    assert words(di.from_linen(Perceptron(kernel=INIT.he_normal())))[0][1] == he
    glorot = "uniform, variance 0.2703/fan_in: Glorot, 0.135 times He"
    assert words(di.from_linen(Perceptron(kernel=INIT.glorot_uniform())))[0][1] == glorot
    uniform = "uniform, variance 0.3333/fan_in: 0.167 times He"
    network = di.from_equinox(lambda key: eqx.nn.MLP(5, 1, 32, 1, key=key))
    assert words(network) == [("layers/0/weight", uniform), ("layers/1/weight", uniform)]


def test_what_is_not_recognized_says_how_it_is_computed():
    init = lambda key, x: {"w": abs(jax.random.normal(key, (5, 8)))}
    network = di.batch_network(init, lambda p, x: x @ p["w"])
    assert words(network) == [("w", "not recognized: computed by abs")]


def test_means_and_cuts_are_named():
    found = words(di.from_linen(Perceptron(kernel=INIT.uniform(0.1))))[0][1]
    assert found == "uniform of mean 0.05, variance 0.004167/fan_in: 0.00208 times He"
    cut = INIT.truncated_normal(0.1, lower=-3.0, upper=3.0)
    found = words(di.from_linen(Perceptron(kernel=cut)))[0][1]
    assert found.startswith("normal, truncated at 3 standard deviations, variance")


def test_fan_in_and_copies():
    tokens = np.zeros((2, 6), int)
    found = {kernel.name: kernel for kernel in kernels(di.from_linen(Decoder()), tokens)}
    attention = "MultiHeadDotProductAttention_0"
    assert found["Embed_0/embedding"].law == "normal, variance 0.03125"
    assert found[f"{attention}/value/kernel"].shape == (32, 4, 8)
    assert found[f"{attention}/out/kernel"].fan_in == 32
    images = di.from_linen(Images(), input_shape=(8, 8, 3))
    conv, *_ = kernels(images, di.inputs.points(np.ones((2, 192))))
    assert (conv.kind, conv.shape, conv.fan_in) == ("conv", (3, 3, 3, 16), 27)
    table = kernels(di.from_linen(Stack()), X)
    assert [kernel.copies for kernel in table] == [1, 4, 4, 1]
    assert "4 of 32 x 32" in repr(table)


def test_numbers_in_front_of_a_kernel_count():
    init = lambda key, x: {"w": jax.random.normal(key, (5, 8))}
    network = di.batch_network(init, lambda p, x: x @ (p["w"] / np.sqrt(5)))
    assert words(network) == [("w", "normal, variance 1/fan_in: half of He")]
