"""Models whose products are tapped."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

KEY = jax.random.key(3)


NORMAL = nn.initializers.variance_scaling(1.0, "fan_in", "normal")


ROWS = jax.random.normal(jax.random.key(8), (3, 16))


def assert_close(a, b):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


class MLP(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(24, use_bias=False, kernel_init=NORMAL)(x))
        x = nn.relu(nn.Dense(16, use_bias=False, kernel_init=NORMAL)(x))
        return nn.Dense(2, use_bias=False, kernel_init=NORMAL, name="head")(x)


def applied(net):
    return lambda key, x: net.apply(net.init(key, x), x)


def plain(key, x):
    keys = jax.random.split(key, 4)
    stack = jax.random.normal(keys[0], (3, 16, 16)) / 4
    scale, bias = jax.random.normal(keys[1], (16,)), jax.random.normal(keys[2], (16,))
    readout = jax.random.normal(keys[3], (16,)) / jnp.sqrt(16)

    def body(x, weights):
        with jax.named_scope("dense"):
            return jnp.tanh(x @ weights), None

    with jax.named_scope("body"):
        x, _ = jax.lax.scan(body, x, stack)
    scores = jax.nn.softmax((x * scale + bias) @ x.T)
    return scores @ x @ readout
