"""How much lengths vary between networks.

Standard deviation of the length of a circle over networks, divided by its mean, at three widths.
Lines are to first order in 1/width, too small for deep narrow networks.
"""

import numpy as np

import deepinit as di
from deepinit.theory.lengths import circle_relative_variances_by_layer

circle, length = di.curves.sampled(di.curves.circle()), di.quantities.length_distortion
points, lines, layers = {}, {}, np.arange(1, 13)
for width in (32, 128, 512):
    net = di.MLP(widths=(width,) * 12)
    found = di.simulate(net, length, circle, num_seeds=1000)
    sd, mean, name = found.variance[:, 0] ** 0.5, found.mean[:, 0], f"width {width}"
    points[name] = (layers, sd / mean, found.variance_standard_error[:, 0] / (2 * sd * mean))
    lines[name] = (layers, np.sqrt(circle_relative_variances_by_layer(net.widths)))
labels = {"x_label": "layer", "y_label": "standard deviation / mean", "lines_are": "first order"}
fig = di.plots.series(points, lines, **labels, title="Spread of lengths")
