"""Laws of models of flax and equinox, against the same models with Gaussian matrices drawn."""

from unittest import mock

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
from deferral_laws import ROWS, WIDTH, assert_law, backward, decisions
from flax import nnx
from scipy import stats

N = WIDTH
X = ROWS[:3]
NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


def gaussian_uniform(key, shape=(), dtype=float, minval=0.0, maxval=1.0):
    normal = jax.random.normal(key, shape, jnp.dtype(dtype).name)
    return (minval + maxval) / 2 + (maxval - minval) / 12**0.5 * normal


def gaussian_truncated(key, lower, upper, shape=(), dtype=float):
    law = stats.truncnorm(float(lower), float(upper))
    return law.mean() + law.std() * jax.random.normal(key, shape, jnp.dtype(dtype).name)


def gaussian(f):
    """f where uniform and truncated normal arrays are Gaussian."""

    def g(key, *args):
        with (
            mock.patch.object(jax.random, "uniform", gaussian_uniform),
            mock.patch.object(jax.random, "truncated_normal", gaussian_truncated),
        ):
            return f(key, *args)

    return g


def applied(net):
    """(key, x) -> values and gradients of a linen module at initialization."""

    def f(key, x):
        params = net.init(key, x)
        return backward(lambda x: net.apply(params, x), x)

    return f


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _=None):
        attention = nn.MultiHeadDotProductAttention(4, kernel_init=NORMAL)
        x = x + attention(nn.LayerNorm()(x))
        h = nn.gelu(nn.Dense(2 * N, kernel_init=NORMAL)(nn.LayerNorm()(x)))
        return x + nn.Dense(N, kernel_init=NORMAL)(h), None


def linen_mlp():
    return applied(nn.Sequential([nn.Dense(2 * N, kernel_init=NORMAL), nn.relu, nn.Dense(N)]))


def linen_transformer():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.remat(Block)()(Block()(x)[0])[0]

    return applied(Net())


def linen_scan():
    stack = nn.scan(
        nn.remat(Block), variable_axes={"params": 0}, split_rngs={"params": True}, length=3
    )

    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            return stack()(x, None)[0]

    return applied(Net())


def linen_lstm():
    """Recurrent kernels are orthogonal by default."""
    cell = nn.LSTMCell(N, kernel_init=NORMAL, recurrent_kernel_init=NORMAL)
    return applied(nn.RNN(cell))


def linen_tied_tokens():
    class Net(nn.Module):
        @nn.compact
        def __call__(self, ids):
            embedding = nn.Embed(40, N, embedding_init=nn.initializers.normal(0.5))
            x = Block()(embedding(ids))[0]
            return embedding.attend(x) / N**0.5

    net = Net()

    def f(key, x):
        logits = net.apply(net.init(key, jnp.array([3, 5, 3])), jnp.array([3, 5, 3]))
        return jnp.stack([logits[0, 3], logits[1, 2], logits[0] @ logits[1], logits[2, 5]])

    return f


def nnx_mlp():
    class Net(nnx.Module):
        def __init__(self, rngs):
            self.first = nnx.Linear(N, 2 * N, rngs=rngs)
            self.second = nnx.Linear(2 * N, N, use_bias=False, rngs=rngs)

        def __call__(self, x):
            return self.second(nnx.gelu(self.first(x)))

    return lambda key, x: backward(Net(nnx.Rngs(key)), x)


def nnx_stack():
    """Layers by nnx.vmap, in nnx.scan."""

    class Layer(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(N, N, rngs=rngs, kernel_init=NORMAL)
            self.norm = nnx.LayerNorm(N, rngs=rngs)

        def __call__(self, x):
            return x + nnx.tanh(self.linear(self.norm(x)))

    @nnx.split_rngs(splits=3)
    @nnx.vmap(in_axes=0, out_axes=0)
    def layers(rngs):
        return Layer(rngs)

    @nnx.scan(in_axes=(0, nnx.Carry), out_axes=nnx.Carry)
    def forward(layer, x):
        return layer(x)

    def f(key, x):
        graph, state = nnx.split(layers(nnx.Rngs(key)))
        copied = lambda: jax.tree.map(lambda leaf: leaf, state)  # of the trace that uses it
        return backward(lambda x: forward(nnx.merge(graph, copied()), x), x)

    return f


def equinox_mlp():
    def f(key, x):
        net = eqx.nn.MLP(N, N, 2 * N, 2, key=key)
        return backward(jax.vmap(net), x)

    return f


def equinox_attention():
    def f(key, x):
        one, other = jax.random.split(key)
        attention = eqx.nn.MultiheadAttention(4, N, key=one)
        norm, linear = eqx.nn.LayerNorm(N), eqx.nn.Linear(N, N, key=other)

        def net(x):
            x = x + attention(*[jax.vmap(norm)(x)] * 3)
            return x + jax.vmap(linear)(x)

        return backward(net, x)

    return f


def equinox_tokens():
    def f(key, x):
        one, other = jax.random.split(key)
        embedding = eqx.nn.Embedding(40, N, key=one)
        cell = eqx.nn.GRUCell(N, N, key=other)
        rows = jax.vmap(embedding)(jnp.array([3, 5, 3]))
        step = lambda h, row: (cell(row, h), None)
        return backward(lambda rows: jax.lax.scan(step, rows[0], rows)[0][None], rows)

    return f


# (model, arrays that are deferred, others but small ones)
MODELS = {
    "linen_mlp": (linen_mlp, 2, 0),
    "linen_transformer": (linen_transformer, 12, 0),
    "linen_scan": (linen_scan, 6, 0),
    "linen_lstm": (linen_lstm, 8, 0),
    "linen_tied_tokens": (linen_tied_tokens, 7, 0),
    "nnx_mlp": (nnx_mlp, 2, 0),
    "nnx_stack": (nnx_stack, 1, 0),
    "equinox_mlp": (equinox_mlp, 3, 0),
    "equinox_attention": (equinox_attention, 5, 0),
    "equinox_tokens": (equinox_tokens, 3, 0),
}


@pytest.mark.slow_cases(*(name for name in MODELS if name not in ("linen_mlp", "nnx_stack")))
@pytest.mark.parametrize("name", MODELS)
def test_law(name):
    make, deferred, explicit = MODELS[name]
    f = make()
    found = decisions(f, X, gaussianize=True)
    others = [reason for reason in found.explicit.values() if reason != "small"]
    assert len(found.drawn) - len(found.explicit) == deferred, others
    assert len(others) == explicit
    shapes = [own.shape for array, own in found.drawn.items() if array not in found.explicit]
    assert_law(f, X, deferred=shapes, gaussianize=True, explicit=gaussian(f), adjoint=False)
