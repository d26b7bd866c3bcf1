"""Lengths fall faster in narrow networks.

Mean length of the image of a circle by layer, over its infinite-width value, with the exact law of
{cite:t}`hanin2022deep`: about exp(-5/8 depth/width).
"""

import numpy as np

import deepinit as di

circle, length = di.curves.sampled(di.curves.circle()), di.quantities.length_distortion
points, lines, layers = {}, {}, np.arange(1, 17)
for width in (16, 32, 64, 256):
    net, name = di.MLP(widths=(width,) * 16), f"width {width}"
    scale = (width / 2) ** 0.5  # of infinite width: the circle has 2 coordinates
    found, exact = di.simulate(net, length, circle, num_seeds=1000), di.predict(net, length, circle)
    points[name] = (layers, found.mean[:, 0] / scale, found.standard_error[:, 0] / scale)
    lines[name] = (layers, exact.mean[:, 0] / scale)
labels = {"x_label": "layer", "y_label": "mean length / infinite width", "lines_are": "exact"}
fig = di.plots.series(points, lines, **labels, title="Lengths by width")
