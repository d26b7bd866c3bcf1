"""The flax modules that condensation trains on images; convolutions are dense on patches:
on CPU, XLA's gradients of convolutions are a hundred times slower.
"""

import flax.linen as nn
import jax.numpy as jnp

import deepinit as di

SIDE = 28


class Convolutional(nn.Module):
    """4 x 4 filters with stride 4, mean over positions, a dense tanh layer; all weights small."""

    std: float = 1e-3

    @nn.compact
    def __call__(self, x):
        """Logits [batch, 10] of images [batch, 28, 28, 1]."""
        small = nn.initializers.normal(self.std)
        options = {"kernel_init": small, "bias_init": small}
        patches = x.reshape(-1, 7, 4, 7, 4).swapaxes(2, 3).reshape(-1, 7, 7, 16)
        x = nn.tanh(nn.Dense(32, name="filters", **options)(patches)).mean(axis=(1, 2))
        x = nn.tanh(nn.Dense(50, name="hidden", **options)(x))
        return nn.Dense(10, use_bias=False, name="output", kernel_init=small)(x)


class Residual(nn.Module):
    """A convolutional residual network, then two dense layers of a chosen initialization."""

    dense_init: str

    @nn.compact
    def __call__(self, x):
        """Logits [batch, 10] of images [batch, 28, 28, 1]."""
        x = nn.relu(nn.Dense(8)(x.reshape(-1, 14, 2, 14, 2).swapaxes(2, 3).reshape(-1, 14, 14, 4)))
        for _ in range(2):
            branch = nn.Dense(8)(neighbourhoods(nn.relu(nn.Dense(8)(neighbourhoods(x)))))
            x = nn.relu(x + branch)
        x = nn.avg_pool(x, (2, 2), (2, 2)).reshape(len(x), -1)
        for number in (1, 2):
            x = nn.relu(nn.Dense(128, name=f"dense {number}", kernel_init=self._dense_init)(x))
        return nn.Dense(10, name="output")(x)

    def _dense_init(self, key, shape, dtype=jnp.float32):
        """Condensed: standard deviation 128^-1.5, the paper's variance m_out^-3."""
        if self.dense_init == "condensed":
            return nn.initializers.normal(shape[1] ** -1.5)(key, shape, dtype)
        return nn.initializers.glorot_normal()(key, shape, dtype)


def neighbourhoods(x):
    """The 3 x 3 pixels about every pixel, zeros outside: [batch, side, side, 9 channels]."""
    side = x.shape[1]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifts = [padded[:, i : i + side, j : j + side] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifts, axis=-1)


def convolutional() -> di.Network:
    """The small convolutional network."""
    return di.from_linen(
        Convolutional(),
        input_shape=(SIDE, SIDE, 1),
        label="cnn: 32 filters, 50 tanh units, std 1e-3",
    )


def residual(kind: str) -> di.Network:
    """The residual network; `condensed` or `glorot`."""
    label = f"resnet: 5 convolutions of 8 filters, two dense layers of 128, {kind}"
    return di.from_linen(Residual(kind), input_shape=(SIDE, SIDE, 1), label=label)
