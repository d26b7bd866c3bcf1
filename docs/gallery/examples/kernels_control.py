"""The same mean, thousands of times cheaper.

Standard error of the mean NNGP kernel of two inputs in 1000 networks, plain and with
control="theory", which subtracts random variables of mean exactly 0.
"""

import numpy as np

import deepinit as di

net, pair, kernel = di.MLP((128,) * 6, "tanh"), di.inputs.pair(0.5), di.quantities.nngp
controlled = di.simulate(net, kernel, pair, num_seeds=1000, control="theory")
both = {"plain": controlled.plain, "controlled": controlled}
points = {name: (np.arange(1, 7), each.standard_error[:, 1]) for name, each in both.items()}
labels = {"x_label": "layer", "y_label": "standard error", "title": "Control variates"}
fig = di.plots.series(points, log_y=True, **labels)
