"""Deep residual networks keep it.

One coordinate of residual networks of width and depth 100 along a line of inputs, with the
quantiles of the Gaussian process at infinite width and depth {cite:p}`peluchetti2021doubly`.
"""

import jax
import numpy as np

import deepinit as di
from deepinit.theory.diffusion import double_limit

z, panels, bands, unit = np.linspace(-2, 2, 41), {}, {}, di.normal(1.0, "depth")
for name in ("tanh", "silu"):
    net = di.network(di.ResNet(100, 100, activation=name, block="shallow", bias_law=unit))
    inputs, keys = np.outer(z, np.ones(100)), jax.random.split(jax.random.key(0), 200)
    outputs = lambda key: jax.vmap(net.apply, (None, 0))(net.init(key, 100), inputs)[:, 0]
    panels[name] = (z, jax.jit(lambda keys: jax.lax.map(outputs, keys, batch_size=8))(keys))
    limit = double_limit(name, np.outer(z, z), 1.0, 1.0, mean=z)
    reach = 1.645 * np.sqrt(np.diag(limit.conditional_covariance))
    bands[name] = (z, [limit.mean - reach, limit.mean, limit.mean + reach])
labels = {"x_label": "input z, copied to all coordinates", "y_label": "one coordinate"}
fig = di.plots.function_draws(panels, bands, **labels, title="Residual networks, 100 blocks")
