"""Older bounds on the length.

Mean length at twice the critical variance: the exact law, the lower bound of
{cite:t}`price2019trajectory`, and the growth rate of {cite:t}`raghu2017expressive` with constant 1
per layer, which is no bound.
"""

import deepinit as di

net = di.MLP(widths=(32,) * 12, weight_law=di.normal(4.0))
circle, length = di.curves.sampled(di.curves.circle()), di.quantities.length_distortion
simulated = di.simulate(net, length, circle, num_seeds=1000)
theories = [di.predict(net, length, circle, name) for name in ("exact", "price_tanner", "raghu")]
fig = di.plots.layers(simulated, *theories, title="Length and older bounds", spread=False)
fig.axes[0].set_yscale("log")
