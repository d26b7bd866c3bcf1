"""Real images become parallel.

Angles between pairs of MNIST digits, by layer, in ReLU networks of width 128, with finite-width
theory and infinite width.
"""

import deepinit as di

pairs, angle = di.inputs.image_pairs(3), di.quantities.log_sin2_angle
net = di.MLP(widths=(128,) * 24)
results = [di.simulate(net, angle, pairs, num_seeds=500), di.predict(net, angle, pairs)]
fig = di.plots.image_pairs(pairs, *results, di.infinite(net, angle, pairs), title="Digits")
