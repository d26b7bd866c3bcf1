"""Correlations of infinitely deep residual networks.

Correlation of one coordinate at two inputs z and z': in residual networks of infinite width and
depth, and in feed-forward networks of 100 layers at the edge of chaos, where it is nearly 1
everywhere {cite:p}`peluchetti2021doubly`.
"""

import numpy as np

import deepinit as di
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.theory.diffusion import double_limit

z, maps = np.linspace(-2, 2, 16), {}
for name in ("tanh", "silu"):
    maps[f"residual, {name}"] = (
        z,
        double_limit(name, np.outer(z, z), 1.0, 1.0, mean=z).correlation,
    )
for name, variance, bias in (("tanh", 1.7, di.normal(0.04, "absolute")), ("relu", 2.0, None)):
    net = di.MLP((2,) * 100, name, di.normal(variance), bias)
    kernel = kernel_layers(net, np.outer(z, np.ones(2))).nngp[-1]
    maps[f"feed-forward, {name}"] = (z, kernel / np.sqrt(np.outer(*[np.diag(kernel)] * 2)))
fig = di.plots.correlation_maps(maps, x_label="z", y_label="z'", title="Correlations of inputs")
