"""The models: edit this file.

A model is a network made by one of the doors of deepinit, and a batch of two inputs. Layers that
are measured match the pattern in `at`: names are those of the modules; `*` takes all.

    di.from_linen(module)               flax.linen
    di.from_nnx(rngs -> module)         flax.nnx
    di.from_equinox(key -> module)      equinox, of one input
    di.from_haiku(hk.transform(f))      haiku
    di.batch_network(init, apply)       two functions

Gaussian initializers are measured without drawing a weight matrix. Truncated normal and uniform
ones are drawn, or replaced by Gaussian ones: `.with_gaussian_weights()`.
"""

import itertools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from flax import linen as nn
from flax import nnx

import deepinit as di


class Model(NamedTuple):
    """A network and two inputs. `label`: in tables and figures."""

    label: str
    network: di.Network
    inputs: Any


class Block(nn.Module):
    """Pre-norm attention and MLP."""

    heads: int = 4

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Of a batch of sequences."""
        width, normal = x.shape[-1], nn.initializers.variance_scaling(1.0, "fan_in", "normal")
        mask = nn.make_causal_mask(x[..., 0])
        attention = nn.MultiHeadDotProductAttention(self.heads, kernel_init=normal)
        x = x + attention(nn.LayerNorm()(x), mask=mask)
        hidden = nn.gelu(nn.Dense(4 * width, kernel_init=normal)(nn.LayerNorm()(x)))
        return x + nn.Dense(width, kernel_init=normal)(hidden)


class Transformer(nn.Module):
    """Token numbers to features."""

    vocabulary: int = 1000
    width: int = 256
    blocks: int = 4

    @nn.compact
    def __call__(self, tokens: Any) -> Any:
        """Of a batch of sequences."""
        normal = nn.initializers.normal(1.0)
        x = nn.Embed(self.vocabulary, self.width, embedding_init=normal)(tokens)
        for _ in range(self.blocks):
            x = Block()(x)
        return nn.LayerNorm()(x)


def perceptron(rngs: nnx.Rngs) -> nnx.Module:
    """784 -> 512 x 6 -> 10, ReLU, He."""
    he = nnx.initializers.variance_scaling(2.0, "fan_in", "normal")
    sizes, layers = (784, *(512,) * 6), []
    for fan_in, fan_out in itertools.pairwise(sizes):
        layers += [nnx.Linear(fan_in, fan_out, kernel_init=he, rngs=rngs), nnx.relu]
    return nnx.Sequential(*layers, nnx.Linear(512, 10, kernel_init=he, rngs=rngs))


class Convolutions(eqx.Module):
    """Three strided convolutions and a linear layer, of one image [3, 16, 16]."""

    layers: list[Any]

    def __init__(self, key: jax.Array) -> None:
        keys, channels = jax.random.split(key, 4), (3, 16, 32, 64)
        self.layers = [
            eqx.nn.Conv2d(channels[i], channels[i + 1], 3, stride=2, padding=1, key=keys[i])
            for i in range(3)
        ]
        self.layers.append(eqx.nn.Linear(64 * 4, 10, key=keys[3]))

    def __call__(self, x: jax.Array) -> jax.Array:
        """Ten outputs."""
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x.reshape(-1))


RANDOM = np.random.default_rng(0)

MODELS = {
    "transformer": Model(
        "transformer (flax.linen)",
        di.from_linen(Transformer(), label="transformer").at("*"),
        di.inputs.arrays(RANDOM.integers(0, 1000, size=(2, 8)), label="two sequences"),
    ),
    "mlp": Model(
        "MLP (flax.nnx)",
        di.from_nnx(perceptron, label="mlp").at("*"),
        di.inputs.points(RANDOM.normal(size=(2, 784)), "two random inputs"),
    ),
    "conv": Model(
        "convolutions (equinox)",
        di.from_equinox(Convolutions, label="conv").with_gaussian_weights().at("*"),
        di.inputs.arrays(
            RANDOM.normal(size=(2, 3, 16, 16)).astype(np.float32), label="two random images"
        ),
    ),
}
