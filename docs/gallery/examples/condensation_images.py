"""Units of a network on images condense.

Cosine similarities of the units of a hidden layer of a flax module on MNIST digits, before training
and after 400 steps of Adam from small weights.
"""

import jax
from flax import linen as nn

import deepinit as di
from deepinit.observables.orientations import cosine_similarities, display_order


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(50, name="hidden", kernel_init=nn.initializers.normal(1e-3))(x))
        return nn.Dense(10, kernel_init=nn.initializers.normal(1e-3))(x)


run = {"mode": "adam", "rate": 1e-4, "record_steps": (0, 400), "loss": "cross_entropy"}
train = di.training.training_seed_fn(di.from_linen(Net()), di.targets.digits(500), **run)
kernels = jax.jit(train)(jax.random.key(0)).values["hidden"]["kernel"]
cosines = [cosine_similarities(kernel.T) for kernel in kernels]
start, end = (each[display_order(each)][:, display_order(each)] for each in cosines)
fig = di.plots.similarities({"start": start, "end": end}, title="Units of a network on digits")
