"""A flax model, layer by layer.

Norms at every layer of a flax module at its real width, without drawing its weight matrices. The
last two points are the output, one number.
"""

from flax import linen as nn

import deepinit as di


class Net(nn.Module):
    @nn.compact
    def __call__(self, x):
        he = nn.initializers.variance_scaling(2.0, "fan_in", "normal")
        for _ in range(12):
            x = nn.relu(nn.Dense(1024, kernel_init=he)(x))
        return nn.Dense(1)(x)


net = di.from_linen(Net()).at("*")
simulated = di.simulate(net, di.quantities.log_norm, di.inputs.ones(64), num_seeds=300)
fig = di.plots.layers(simulated, title="Norms of a flax model")
