"""Tangent kernels fluctuate.

Standard deviation of the NTK of single networks: of order sqrt(depth / width), which infinite
width sets to 0.
"""

import deepinit as di

points, kernel = di.inputs.pair(0.5), di.quantities.ntk
net = di.MLP((64,) * 8, "relu", output_width=1)
simulated = di.simulate(net, kernel, points, num_seeds=4000)
fig = di.plots.variance_layers(simulated, di.predict(net, kernel, points), component=0)
