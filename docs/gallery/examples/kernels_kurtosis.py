"""Outputs are not Gaussian.

Excess kurtosis of an output over networks grows like depth / width.
"""

import deepinit as di

net, ones, kurtosis = di.MLP((64,) * 16, "relu"), di.inputs.ones(8), di.quantities.output_kurtosis
simulated = di.simulate(net, kurtosis, ones, num_seeds=20_000)
fig = di.plots.layers(simulated, di.predict(net, kurtosis, ones), title="Excess kurtosis")
