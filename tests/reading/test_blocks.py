"""Blocks: residual sums, norms, loops, gates, convolutions, attention."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from models_to_read import (
    INIT,
    Block,
    Branches,
    Decoder,
    Fused,
    Gated,
    Images,
    Normed,
    Stack,
    three_arrays,
)

import deepinit as di
from deepinit.core.layers import (
    Activation,
    Attention,
    BatchNorm,
    Conv,
    Dense,
    Embed,
    Flatten,
    Gate,
    GroupNorm,
    LayerNorm,
    Pool,
    Positions,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Tied,
)

X = np.ones((2, 5), np.float32)
ROWS = np.ones((2, 6, 32), np.float32)
LAW = di.truncated_normal(1.0)
BRANCH = Sequential(LayerNorm(1e-6), Dense(32, LAW), Activation("silu"), Dense(32, LAW))
ATTENTION = dict.fromkeys(("query_law", "key_law", "value_law", "output_law"), LAW)


def test_residual_branches_times_a_number():
    found = di.read_layers(di.from_linen(Branches(scale=0.7)), X)
    branch = Residual(BRANCH, scale=0.7)
    assert found == Sequential(Dense(32, LAW), branch, branch, Dense(1, LAW))


def test_a_skip_of_its_own():
    def apply(p, x):
        z = x @ p["a"]
        return 2 * jnp.tanh(z) @ p["b"] - jnp.sin(z)

    found = di.read_layers(di.batch_network(three_arrays, apply), X)
    branch = Sequential(Activation("tanh"), Dense(16, di.normal(4 * 16.0)))
    first = Dense(16, di.normal(5.0))
    # the longer way is the branch of a sum, the subtracted one that of a difference
    assert found == Sequential(first, Residual(Activation("sin"), branch, -1.0))


@pytest.mark.parametrize("block", [Block, nn.remat(Block)])
def test_a_scan_is_a_repeat(block):
    found = di.read_layers(di.from_linen(Stack(block)), X)
    assert found == Sequential(Dense(32, LAW), Repeat(Residual(BRANCH), 4), Dense(1, LAW))


def test_a_scan_over_the_same_parameters_is_tied():
    found = di.read_layers(di.from_linen(Stack(shared=True)), X)
    assert found == Sequential(Dense(32, LAW), Tied(Residual(BRANCH), 4), Dense(1, LAW))


NORMS = {
    "layer": (lambda: nn.LayerNorm(epsilon=1e-3), LayerNorm(1e-3)),
    "without parameters": (
        lambda: nn.LayerNorm(use_bias=False, use_scale=False, use_fast_variance=False),
        LayerNorm(1e-6, gain=False),
    ),
    "rms": (lambda: nn.RMSNorm(epsilon=1e-5), RMSNorm(1e-5)),
    "rms without gain": (lambda: nn.RMSNorm(use_scale=False), RMSNorm(1e-6, gain=False)),
    "groups": (lambda: nn.GroupNorm(8), GroupNorm(8, 1e-6)),
    "batch": (lambda: nn.BatchNorm(use_running_average=False), BatchNorm(1e-5)),
}


@pytest.mark.parametrize("name", NORMS)
def test_norms(name):
    norm, expected = NORMS[name]
    found = di.read_layers(di.from_linen(Normed(norm)), X)
    assert found == Sequential(Dense(32, LAW), expected, Activation("tanh"), Dense(1, LAW))


@pytest.mark.parametrize(
    ("kind", "phi"),
    [("two kernels", "silu"), ("halves", di.gelu_tanh), ("first half gates", "silu")],
)
def test_gates(kind, phi):
    found = di.read_layers(di.from_linen(Gated(kind)), X)
    gate = Dense(96, LAW), Gate(phi), Dense(1, LAW)
    assert found == Sequential(Dense(32, LAW), RMSNorm(1e-6), *gate)


def test_convolutions():
    network = di.from_linen(Images(), input_shape=(8, 8, 3))
    found = di.read_layers(network, di.inputs.points(np.ones((2, 192))))
    assert found == Sequential(
        Conv(16, 3, law=LAW),
        GroupNorm(4, 1e-6),
        Activation("relu"),
        Pool("max", 2, 2),
        Residual(Sequential(Activation("relu"), Conv(16, 3, law=LAW))),
        Pool("mean", 2, 2),
        Flatten(),
        Dense(4, LAW),
    )


@pytest.mark.parametrize("mask", [True, False])
def test_a_transformer_block_on_tokens(mask):
    found = di.read_layers(di.from_linen(Decoder(mask)), np.zeros((2, 6), int))
    attention = Attention(4, mask="causal" if mask else None, **ATTENTION)
    feed_forward = Dense(128, LAW), Activation(di.gelu_tanh), Dense(32, LAW)
    assert found == Sequential(
        Embed(32, di.normal(1 / 32, "absolute")),
        Positions("learned", di.normal(0.0004, "absolute")),
        Residual(Sequential(LayerNorm(1e-6), attention)),
        Residual(Sequential(LayerNorm(1e-6), *feed_forward)),
        Dense(1, LAW),
    )


@pytest.mark.parametrize("interleaved", [True, False])
def test_attention_of_the_columns_of_one_kernel(interleaved):
    found = di.read_layers(di.from_linen(Fused(interleaved)), ROWS)
    mask = None if interleaved else "causal"
    assert found == Sequential(Attention(4, mask=mask, **ATTENTION))


def test_attention_with_other_scores_and_laws():
    def init(key, x):
        keys = jax.random.split(key, 4)
        scales = dict(zip("qkvo", (0.1, 0.2, 0.2, 0.3), strict=True))
        draw = lambda name, key: scales[name] * jax.random.normal(key, (32, 32))
        return {name: draw(name, key) for name, key in zip("qkvo", keys, strict=True)}

    def apply(p, x):
        q, k, v = ((x @ p[name]).reshape(*x.shape[:2], 2, 16) for name in "qkv")
        weights = jax.nn.softmax(0.05 * jnp.einsum("bthd,bshd->bhts", q, k))
        return jnp.einsum("bhts,bshd->bthd", weights, v).reshape(x.shape) @ p["o"]

    found = di.read_layers(di.batch_network(init, apply), ROWS)
    laws = {"query_law": di.normal(0.32), "key_law": di.normal(1.28), "value_law": di.normal(1.28)}
    expected = Attention(2, scores=0.05, output_law=di.normal(2.88), **laws)
    assert found == Sequential(expected)


def test_whole_numbers_are_values_where_no_table_is_read():
    class Pixels(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = (x.astype("float32") / 255).reshape(len(x), -1)
            return nn.Dense(4, kernel_init=INIT.normal(1.0))(x)

    found = di.read_layers(di.from_linen(Pixels()), np.ones((2, 4, 4, 3), np.uint8))
    first, second = found.layers
    assert first == Flatten()
    assert second.law.variance == pytest.approx(48 / 255**2, rel=1e-6)
