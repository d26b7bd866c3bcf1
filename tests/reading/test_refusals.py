"""What no layer is equal to is refused, by the name of the layer in the model and the reason."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from models_to_read import (
    INIT,
    Gated,
    Images,
    Normed,
    Perceptron,
    Stack,
    straight_through,
    three_arrays,
)

import deepinit as di
from deepinit.core.errors import SpecError

X = np.ones((2, 5), np.float32)


class Between(nn.Module):
    """An operation between two dense layers."""

    operation: object

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(self.operation(self, nn.Dense(32, name="first")(x)))


def between(operation):
    return di.from_linen(Between(operation))


def vector(module, x):
    return x * module.param("gains", INIT.ones, (32,))


def plain(apply, init=three_arrays):
    return di.batch_network(init, apply)


REFUSED = {
    "custom operation": (between(lambda _, x: jnp.cumsum(x, -1)), "after first.*cumsum"),
    "trained vector": (between(vector), "gains: a product with the trained vector gains"),
    "softmax": (between(lambda _, x: nn.softmax(x)), "after first.*reduce_max"),
    "half precision": (between(lambda _, x: x.astype("bfloat16")), "convert_element_type"),
    "stored statistics": (
        di.from_linen(Normed(lambda: nn.BatchNorm(use_running_average=True))),
        "BatchNorm_0: variables that are no parameters.*training mode",
    ),
    "dropout": (
        between(lambda _, x: nn.Dropout(0.1, deterministic=False)(x)),
        "Dropout_0: random numbers besides the parameters",
    ),
    "gain without bias": (
        di.from_linen(Normed(lambda: nn.LayerNorm(use_bias=False))),
        "LayerNorm_0: a LayerNorm with one vector of parameters",
    ),
    "gain of 0": (
        di.from_linen(Normed(lambda: nn.LayerNorm(scale_init=INIT.zeros))),
        "LayerNorm_0: a norm with other starting values of",
    ),
    "uniform of positive mean": (
        di.from_linen(Perceptron(kernel=INIT.uniform(0.1))),
        "Dense_0/kernel: a uniform law of mean 0.05",
    ),
    "two laws of a gate": (
        di.from_linen(Gated("two laws")),
        "Dense_1 and Dense_2: a gate of two linear maps",
    ),
    "straight-through": (
        di.from_linen(Perceptron(straight_through)),
        "custom derivative is not that of its values",
    ),
    "equal keys in a scan": (
        di.from_linen(Stack(split=False)),
        "ScanBlock_0/Dense_0: .* one key was used twice",
    ),
    "one key for two arrays": (
        plain(
            lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"],
            lambda key, x: {
                "a": jax.random.normal(key, (5, 16)),
                "b": jax.random.uniform(key, (16, 2), minval=-1.0),
            },
        ),
        "the parameter b, drawn as a",
    ),
    "equal keys by two names": (  # fold_in and split give the same keys
        plain(
            lambda p, x: jnp.tanh(x @ p["a"]) @ p["b"],
            lambda key, x: {
                "a": jax.random.normal(jax.random.fold_in(key, 1), (5, 16)),
                "b": jax.random.normal(jax.random.split(key, 3)[1], (16, 2)),
            },
        ),
        "the parameter b, drawn as a",
    ),
    "constant key": (
        plain(
            lambda p, x: x @ p["a"],
            lambda key, x: {"a": jax.random.normal(jax.random.key(3), (5, 16))},
        ),
        "a: a law that is not recognized: an array that is the same for every key",
    ),
    "init from the data": (
        plain(
            lambda p, x: x @ p["a"],
            lambda key, x: {"a": jax.random.normal(key, (5, 16)) / jnp.std(x)},
        ),
        "a: a law that is not recognized",
    ),
    "truncated at 3": (
        plain(
            lambda p, x: x @ p["a"],
            lambda key, x: {"a": jax.random.truncated_normal(key, -3, 3, (5, 16))},
        ),
        "truncated at 3 standard deviations.*with_gaussian_weights",
    ),
    "the same kernel twice": (
        plain(lambda p, x: jnp.tanh(x @ p["a"] @ p["b"]) @ p["b"]),
        "b: the parameter b, which acts more than once",
    ),
    "a normalized kernel": (
        plain(lambda p, x: x @ (p["a"] / jnp.linalg.norm(p["a"], axis=0))),
        "a: an array that is computed from the parameters a",
    ),
    "trained slopes": (
        plain(lambda p, x: (lambda z: jnp.where(z > 0, z, p["c"] * z))(x @ p["a"])),
        "c: operations that are no layer",
    ),
    "the mean over the batch": (
        plain(lambda p, x: (lambda z: z - z.mean(0))(x @ p["a"])),
        "after a: operations that are no layer",
    ),
    "fixed random features": (
        plain(lambda p, x: jnp.cos(x @ jax.random.normal(jax.random.key(3), (5, 5))) @ p["a"]),
        "operations that are no layer",
    ),
    "no gradient": (
        plain(lambda p, x: jax.lax.stop_gradient(x @ p["a"]) @ p["b"]),
        "after a: operations that are no layer \\(stop_gradient\\)",
    ),
    "part of the neurons": (
        plain(lambda p, x: (x @ p["a"])[:, :8] @ p["b"][:8]),
        "after a: operations that are no layer \\(slice\\)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_layer_and_the_reason(name):
    network, words = REFUSED[name]
    with pytest.raises(SpecError, match=words):
        di.read_layers(network, X)


def test_uneven_padding_of_strided_convolutions():
    network = di.from_linen(Images("SAME", 2), input_shape=(8, 8, 3))
    with pytest.raises(SpecError, match=r"Conv_0: .*padding \(0, 1\)"):
        di.read_layers(network, di.inputs.points(np.ones((2, 192))))


def test_products_that_mix_positions():
    init = lambda key, x: {"a": jax.random.normal(key, (6, 6))}
    network = plain(lambda p, x: jnp.einsum("btn,ts->bsn", x, p["a"]), init)
    with pytest.raises(SpecError, match="a: a product that mixes positions"):
        di.read_layers(network, np.ones((2, 6, 6), np.float32))


def attended(mask=None, **options):
    """Self-attention of sequences of 6."""

    class Attended(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.MultiHeadDotProductAttention(4, **options)(x, mask=mask)

    return di.from_linen(Attended())


WINDOW = np.abs(np.subtract.outer(np.arange(6), np.arange(6))) <= 1
ATTENTION = {
    "window": (attended(WINDOW), "attention that is not softmax"),
    "biases": (attended(bias_init=INIT.normal(0.1)), "Biases must start at 0"),
    "normed queries": (attended(normalize_qk=True), "attention"),
}


@pytest.mark.parametrize("name", ATTENTION)
def test_attention_that_is_no_layer(name):
    network, words = ATTENTION[name]
    with pytest.raises(SpecError, match=words):
        di.read_layers(network, np.ones((2, 6, 32), np.float32))


def test_channels_first():
    network = di.from_equinox(lambda key: eqx.nn.Conv2d(3, 8, 3, key=key))
    with pytest.raises(SpecError, match=r"eqx\.nn\.Conv.*: operations that are no layer"):
        di.read_layers(network, np.ones((2, 3, 8, 8), np.float32))


def test_networks_of_two_inputs():
    network = plain(lambda p, x, y: (x + y) @ p["a"], lambda key, x, y: three_arrays(key, x))
    with pytest.raises(SpecError, match="a function of 2 arrays"):
        di.read_layers(network, (X, X))
    one = plain(lambda p, x, y: x @ p["a"], lambda key, x, y: three_arrays(key, x))
    assert len(di.read_layers(one, (X, X)).layers) == 1


def test_what_is_no_network():
    with pytest.raises(SpecError, match="a Network"):
        di.read_layers(di.MLP(widths=(8, 8)), X)
    with pytest.raises(SpecError, match=r"di\.inputs, an array"):
        di.read_layers(di.from_linen(Perceptron()), "x")
