"""The kernel of a finite network is not that of infinite width.

NNGP kernel of two inputs in tanh networks of width 64, with its first correction in 1/width.
"""

import deepinit as di

net, pair, kernel = di.MLP((64,) * 12, "tanh"), di.inputs.pair(0.5), di.quantities.nngp
simulated = di.simulate(net, kernel, pair, num_seeds=20_000)
fig = di.plots.layers(simulated, di.predict(net, kernel, pair), di.infinite(net, kernel, pair))
