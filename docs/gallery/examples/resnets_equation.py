"""A residual network and its stochastic differential equation.

One coordinate at input z = 1: residual networks of width and depth 64, paths of the limiting
equation by Euler's method, and its Gaussian law {cite:p}`peluchetti2021doubly`.
"""

import jax
import numpy as np

import deepinit as di
from deepinit.diffusions import path_fn

spec = di.ResNet(64, 64, block="shallow", bias_law=di.normal(1.0, "depth"))
ones, keys = np.ones((1, 64)), jax.random.split(jax.random.key(0), 4000)
net, path = di.network(spec), path_fn(spec, di.inputs.points(ones), form="gram")
network = lambda key: net.apply(net.init(key, 64), ones[0])[0]
run = lambda f: jax.jit(lambda keys: jax.lax.map(f, keys, batch_size=50))(keys)
samples = {"network": run(network), "equation": run(lambda key: path(key).states[-1, 0, 0])}
grid, variance = np.linspace(-8, 10, 200), 2 * (np.e - 1)
density = np.exp(-((grid - 1) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
bands = {name: {"double limit": (grid, density)} for name in samples}
fig = di.plots.histogram(samples, density=bands, label="$x_1$", title="Network and equation")
