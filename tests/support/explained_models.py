"""Models whose plans are explained."""

import math

import jax
import jax.numpy as jnp
from flax import linen as nn

N = 32


KEY = jax.random.key(0)


X = jnp.arange(2.0 * N).reshape(2, N) / N


def normal(key, *shape):
    return jax.random.normal(key, shape) / math.sqrt(N)


class Net(nn.Module):
    kernel: object
    dtype: object = None

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(2 * N, kernel_init=self.kernel, dtype=self.dtype, name="up")(x))
        x = nn.Dropout(0.5, deterministic=False)(x)
        return nn.Dense(N, kernel_init=self.kernel, bias_init=nn.initializers.normal())(x)


def linen(kernel, dtype=None):
    net = Net(kernel, dtype)

    def f(key, x):
        rngs = dict(zip(("params", "dropout"), jax.random.split(key), strict=True))
        return net.apply(net.init(rngs, x), x, rngs=rngs)

    return f
