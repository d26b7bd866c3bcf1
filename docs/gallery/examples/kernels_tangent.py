"""Tangent kernels fluctuate.

Standard deviation over its mean, of the NTK of single ReLU networks of width 64 at one input: it
grows with depth. Infinite width sets it to 0.
"""

import deepinit as di

depths, points, kernel = (1, 2, 4, 8), di.inputs.pair(0.5), di.quantities.ntk
measured, predicted = [], []
for depth in depths:
    net = di.MLP((64,) * depth, "relu", output_width=1)
    found, theory = (
        di.simulate(net, kernel, points, num_seeds=4000),
        di.predict(net, kernel, points),
    )
    measured.append(found.variance[-1, 0] ** 0.5 / found.mean[-1, 0])
    predicted.append(theory.variance[-1, 0] ** 0.5 / theory.mean[-1, 0])
labels = {"x_label": "depth", "y_label": "standard deviation / mean", "title": "Spread of the NTK"}
lines = {"first_order": (depths, predicted), "infinite_width": (depths, [0.0] * 4)}
fig = di.plots.series({"measured": (depths, measured)}, lines, **labels)
