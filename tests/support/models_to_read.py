"""Models of users, as their libraries write them: small, one subject each."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import nnx

INIT = nn.initializers


class Perceptron(nn.Module):
    """Dense layers of width 32 with one activation; 8 outputs."""

    activation: Callable[[Any], Any] = nn.relu
    kernel: Any = INIT.lecun_normal()
    bias: Any = INIT.zeros
    depth: int = 2

    @nn.compact
    def __call__(self, x):
        for _ in range(self.depth):
            x = nn.Dense(32, kernel_init=self.kernel, bias_init=self.bias)(x)
            x = self.activation(x)
        return nn.Dense(8, kernel_init=self.kernel)(x)


class Branches(nn.Module):
    """Residual branches with a norm, times a number."""

    kernel: Any = INIT.lecun_normal()
    scale: float = 1.0
    width: int = 32
    outputs: int = 1

    @nn.compact
    def __call__(self, x):
        dense = lambda width: nn.Dense(width, kernel_init=self.kernel)
        x = dense(self.width)(x)
        for _ in range(2):
            h = nn.silu(dense(self.width)(nn.LayerNorm()(x)))
            x = x + self.scale * dense(self.width)(h)
        return dense(self.outputs)(x)


class Block(nn.Module):
    """The step of a scan."""

    kernel: Any = INIT.lecun_normal()

    @nn.compact
    def __call__(self, x, _):
        dense = lambda: nn.Dense(x.shape[-1], kernel_init=self.kernel)
        h = nn.silu(dense()(nn.LayerNorm()(x)))
        return x + dense()(h), None


class Stack(nn.Module):
    """Four blocks by one scan, with parameters of their own or the same."""

    block: Any = Block
    shared: bool = False
    split: bool = True
    outputs: int = 1
    kernel: Any = INIT.lecun_normal()

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(32, kernel_init=self.kernel)(x)
        axes = {} if self.shared else {"variable_axes": {"params": 0}}
        axes |= {"variable_broadcast": "params"} if self.shared else {}
        rngs = {"params": self.split and not self.shared}
        x, _ = nn.scan(self.block, split_rngs=rngs, length=4, **axes)(self.kernel)(x, None)
        return nn.Dense(self.outputs, kernel_init=self.kernel)(x)


class Gated(nn.Module):
    """u phi(g): of two kernels, of halves, or of halves the other way round."""

    kind: str

    @nn.compact
    def __call__(self, x):
        dense = lambda width: nn.Dense(width, use_bias=False)
        x = nn.RMSNorm()(dense(32)(x))
        if self.kind == "two kernels":
            x = nn.silu(dense(48)(x)) * dense(48)(x)
        elif self.kind == "halves":
            first, second = jnp.split(dense(96)(x), 2, axis=-1)
            x = first * nn.gelu(second)
        elif self.kind == "first half gates":
            first, second = jnp.split(dense(96)(x), 2, axis=-1)
            x = nn.silu(first) * second
        else:
            wide = nn.Dense(48, kernel_init=INIT.normal(0.1))
            x = nn.silu(wide(x)) * dense(48)(x)
        return dense(1)(x)


class Decoder(nn.Module):
    """A block of a causal transformer on tokens."""

    mask: bool = True

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(50, 32)(tokens)
        x = x + self.param("positions", INIT.normal(0.02), (tokens.shape[1], 32))
        mask = nn.make_causal_mask(tokens) if self.mask else None
        x = x + nn.MultiHeadDotProductAttention(4)(nn.LayerNorm()(x), mask=mask)
        x = x + nn.Dense(32)(nn.gelu(nn.Dense(128)(nn.LayerNorm()(x))))
        return nn.Dense(1)(x)


class Fused(nn.Module):
    """Attention of the columns of one kernel."""

    interleaved: bool = False

    @nn.compact
    def __call__(self, x):
        z = nn.Dense(96)(x)
        if self.interleaved:
            q, k, v = jnp.moveaxis(z.reshape(*x.shape[:2], 4, 3, 8), 3, 0)
        else:
            q, k, v = (part.reshape(*x.shape[:2], 4, 8) for part in jnp.split(z, 3, axis=-1))
        found = jax.nn.dot_product_attention(q, k, v, is_causal=not self.interleaved)
        return nn.Dense(32)(found.reshape(*x.shape[:2], 32))


class Images(nn.Module):
    """Convolutions, norms of groups, pooling of both kinds."""

    padding: Any = ((1, 1), (1, 1))
    stride: int = 1

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(16, (3, 3), padding=self.padding, strides=self.stride)(x)
        x = nn.max_pool(nn.relu(nn.GroupNorm(4)(x)), (2, 2), (2, 2))
        x = nn.avg_pool(x + nn.Conv(16, (3, 3))(nn.relu(x)), (2, 2), (2, 2))
        return nn.Dense(4)(x.reshape(len(x), -1))


class Normed(nn.Module):
    """One norm between two dense layers."""

    norm: Callable[[], Any]

    @nn.compact
    def __call__(self, x):
        return nn.Dense(1)(nn.tanh(self.norm()(nn.Dense(32)(x))))


class Plain(nnx.Module):
    """A perceptron with RMSNorm in nnx."""

    def __init__(self, rngs):
        self.inner = nnx.Linear(5, 32, rngs=rngs)
        self.norm = nnx.RMSNorm(32, rngs=rngs)
        self.outer = nnx.Linear(32, 1, rngs=rngs)

    def __call__(self, x):
        return self.outer(jnp.tanh(self.norm(self.inner(x))))


def three_arrays(key, x):
    """Parameters of plain functions: a [5, 16], b [16, 16], c [16]."""
    first, second, third = jax.random.split(key, 3)
    return {
        "a": jax.random.normal(first, (x.shape[-1], 16)),
        "b": jax.random.normal(second, (16, 16)),
        "c": jax.random.normal(third, (16,)),
    }


@jax.custom_jvp
def straight_through(x):
    """tanh, with the derivative of the identity."""
    return jnp.tanh(x)


@straight_through.defjvp
def _straight_through_jvp(primals, tangents):
    return straight_through(*primals), tangents[0]
