"""The spread of norms grows with depth over width.

ln norm of a signal in He-ReLU networks of width 16: its mean falls although E|h|^2 is kept, and
single networks scatter.
"""

import deepinit as di

net, norm, ones = di.MLP(widths=(16,) * 40), di.quantities.log_norm, di.inputs.ones(16)
simulated = di.simulate(net, norm, ones, num_seeds=4000)
theories = di.predict(net, norm, ones), di.infinite(net, norm, ones)
fig = di.plots.layers(simulated, *theories, title="Norm of a signal by layer")
