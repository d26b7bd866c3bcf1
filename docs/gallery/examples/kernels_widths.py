"""1/width, measured.

Finite less infinite width at five widths: a straight line in 1/width, whose slope the theory
predicts.
"""

import numpy as np

import deepinit as di

pair, kernel, widths = di.inputs.pair(0.5), di.quantities.nngp, (16, 32, 64, 128, 256)
nets = [di.MLP((width,) * 5, "tanh") for width in widths]
found = [di.simulate(net, kernel, pair, num_seeds=2000, control="theory") for net in nets]
limit = di.infinite(nets[0], kernel, pair).mean[-1, 1]
line = [di.predict(net, kernel, pair).mean[-1, 1] - limit for net in nets]
shift, errors = zip(*[(each.mean[-1, 1] - limit, each.standard_error[-1, 1]) for each in found])
x, labels = 1 / np.array(widths), {"x_label": "1 / width", "y_label": "finite less infinite width"}
fig = di.plots.series({"measured": (x, shift, errors)}, {"first_order": (x, line)}, **labels)
