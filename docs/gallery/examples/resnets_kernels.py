"""Tangent kernels of networks as deep as wide.

Tangent kernel of the biases between two inputs, at width = depth. The mean tends to that of both
limits (line); bars are standard deviations over networks {cite:p}`peluchetti2021doubly`.
"""

import numpy as np

import deepinit as di
from deepinit.theory.diffusion import double_limit

sizes, columns = (8, 16, 32, 64), []
for size in sizes:
    net = di.ResNet(size, size, block="shallow", bias_law=di.normal(1.0, "depth"))
    points = di.inputs.points(np.outer([1.0, 2.0], np.ones(size)))
    kernel = di.simulate(net, di.quantities.bias_ntk, points, num_seeds=500)
    columns.append((kernel.mean[0, 1], kernel.variance[0, 1] ** 0.5))
limit = double_limit("tanh", [[1.0, 2.0], [2.0, 4.0]], 1.0, 1.0, mean=[1.0, 2.0]).bias_kernel
lines = {"both limits": (sizes, np.full(4, limit))}
labels = {"x_label": "width and depth", "y_label": "$K_b$ at inputs 1 and 2", "log_x": True}
fig = di.plots.series(
    {"measured": (sizes, *zip(*columns))}, lines, **labels, title="Tangent kernels"
)
