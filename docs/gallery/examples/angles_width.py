"""The rate of vanishing depends on the width.

Angles by layer at four widths, with the infinite-width limit. Narrow networks degenerate after
few layers.
"""

import deepinit as di

pair, angle = di.inputs.pair(0.1), di.quantities.log_sin2_angle
results = {}
for width in (16, 32, 64, 256):
    net = di.MLP(widths=(width,) * 24)
    simulated = di.simulate(net, angle, pair, num_seeds=2000)
    results[width] = (simulated, di.predict(net, angle, pair), di.infinite(net, angle, pair))
fig = di.plots.by_width(results, title="Angle of two inputs at four widths")
