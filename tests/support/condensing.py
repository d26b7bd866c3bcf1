"""A small tanh network that condenses, and its training."""

import flax.linen
import numpy as np

import deepinit as di

FIVE = di.targets.sum_of_sines(seed=1)


def growth(data):
    """|v|: the rate of growth of aligned weights of tanh networks."""
    z = np.c_[data.inputs, np.ones(len(data.inputs))]
    return np.linalg.norm(z.T @ data.targets[:, 0]) / len(z)


RATE = 0.05 / growth(FIVE)
RUN = di.TrainingConfig(FIVE, record_steps=(0, 10, 20, 40, 60, 80), rate=RATE, initial_stage=True)
NET = di.training.small_mlp((40,), di.tanh, std=1e-4, output_std=5e-5)


class Small(flax.linen.Module):
    """A ReLU network of 16 neurons and 3 outputs."""

    @flax.linen.compact
    def __call__(self, x):
        """Outputs of a batch of inputs."""
        return flax.linen.Dense(3)(flax.linen.relu(flax.linen.Dense(16)(x)))
