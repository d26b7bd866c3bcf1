"""The kernel of a finite network is not that of infinite width.

NNGP kernel of two inputs in tanh networks of width 32, over its infinite-width value, with the
first correction in 1/width.
"""

import numpy as np

import deepinit as di

net, pair, kernel = di.MLP((32,) * 12, "tanh"), di.inputs.pair(0.5), di.quantities.nngp
found = di.simulate(net, kernel, pair, num_seeds=4000, control="theory")
limit, layers = di.infinite(net, kernel, pair).mean, np.arange(1, 13)
ratio, errors = found.mean / limit, found.standard_error / limit
theory = di.predict(net, kernel, pair).mean / limit
names = {"one input": 0, "two inputs": 1}
points = {name: (layers, ratio[:, k], errors[:, k]) for name, k in names.items()}
lines = {name: (layers, theory[:, k]) for name, k in names.items()}
labels = {"x_label": "layer", "y_label": "kernel / infinite width", "lines_are": "first order"}
fig = di.plots.series(points, lines, **labels, title="Kernels at width 32")
