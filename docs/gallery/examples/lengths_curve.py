"""Random networks do not lengthen curves.

Length of the image of a circle under ReLU networks, relative to the circle. The exact mean
decreases with depth {cite:p}`hanin2022deep`, although infinite width says that it stays.
"""

import deepinit as di

net, length = di.MLP(widths=(64,) * 24), di.quantities.length_distortion
circle = di.curves.sampled(di.curves.circle())
simulated = di.simulate(net, length, circle, num_seeds=2000)
theories = di.predict(net, length, circle), di.infinite(net, length, circle)
fig = di.plots.layers(simulated, *theories, title="Length of a circle by layer")
