"""1/width, measured.

Finite less infinite width at four widths: a straight line in 1/width, whose slope the theory
predicts.
"""

import numpy as np

import deepinit as di

pair, kernel, widths = di.inputs.pair(0.5), di.quantities.nngp, np.array([16, 32, 64, 128])
nets = [di.MLP((int(width),) * 4, "tanh") for width in widths]
found = [di.simulate(net, kernel, pair, num_seeds=1000, control="theory") for net in nets]
limit = di.infinite(nets[0], kernel, pair).mean[-1, 1]
theory = di.predict(nets[0], kernel, pair).mean[-1, 1] - limit
shift, errors = zip(*[(each.mean[-1, 1] - limit, each.standard_error[-1, 1]) for each in found])
lines = {"first_order": ([0, 1 / 16], [0, theory])}
labels = {"x_label": "1 / width", "y_label": "finite less infinite width", "title": "1/width"}
fig = di.plots.series({"measured": (1 / widths, shift, errors)}, lines, **labels)
