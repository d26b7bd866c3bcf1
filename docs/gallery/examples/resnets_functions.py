"""A residual network of infinite width and depth.

Outputs of random residual networks with 100 neurons and 100 blocks along a line of inputs: draws
of the limiting process {cite:p}`peluchetti2021doubly`.
"""

import numpy as np

import deepinit as di

line = di.inputs.line(-2 * np.ones(1), 2 * np.ones(1), 41)
net = di.ResNet(width=100, depth=100, activation="tanh")
paths = di.simulate(net, di.quantities.nngp, di.inputs.points(line.rows[::8]), num_seeds=500)
fig = di.plots.layers(paths, component=0, title="Kernel of a residual network by block")
