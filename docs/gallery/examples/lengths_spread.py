"""How much lengths vary between networks.

Standard deviation of the length over networks of width 32, simulated and to second order.
"""

import deepinit as di

net, length = di.MLP(widths=(32,) * 16), di.quantities.length_distortion
circle = di.curves.sampled(di.curves.circle())
simulated = di.simulate(net, length, circle, num_seeds=4000)
theories = [di.predict(net, length, circle, name) for name in ("exact", "second_order")]
fig = di.plots.variance_layers(simulated, *theories)
