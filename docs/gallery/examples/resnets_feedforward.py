"""Deep feed-forward networks forget their input.

One preactivation of networks of width and depth 100 at the edge of chaos, along a line of inputs:
tanh networks are random constants, ReLU networks broken lines {cite:p}`peluchetti2021doubly`.
"""

import jax
import numpy as np

import deepinit as di

z, panels = np.linspace(-2, 2, 41), {}
for name, variance, bias in (("tanh", 1.7, di.normal(0.04, "absolute")), ("relu", 2.0, None)):
    net = di.network(di.MLP((100,) * 100, name, di.normal(variance), bias, output_width=1))
    inputs, keys = np.outer(z, np.ones(100)), jax.random.split(jax.random.key(0), 200)
    outputs = lambda key: jax.vmap(net.apply, (None, 0))(net.init(key, 100), inputs)[:, 0]
    panels[name] = (z, jax.jit(lambda keys: jax.lax.map(outputs, keys, batch_size=8))(keys))
labels = {"x_label": "input z, copied to all coordinates", "y_label": "output"}
fig = di.plots.function_draws(panels, **labels, title="Feed-forward networks, 100 layers")
