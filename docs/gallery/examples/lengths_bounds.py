"""Older bounds on the length.

The lower bounds of Raghu et al. and of Price and Tanner against the exact mean, at twice the
critical variance.
"""

import deepinit as di

net = di.MLP(widths=(32,) * 12, weight_law=di.normal(4.0))
circle, length = di.curves.sampled(di.curves.circle()), di.quantities.length_distortion
simulated = di.simulate(net, length, circle, num_seeds=1000)
theories = [di.predict(net, length, circle, name) for name in ("exact", "price_tanner", "raghu")]
fig = di.plots.layers(simulated, *theories, title="Length and its lower bounds")
