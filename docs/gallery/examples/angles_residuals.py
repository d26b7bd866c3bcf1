"""Which theory is rejected.

Distance of every theory from 10 000 networks of width 64, in standard errors. Beyond 5 a theory
is rejected.
"""

import deepinit as di

net, pair, angle = di.MLP(widths=(64,) * 16), di.inputs.pair(0.1), di.quantities.log_sin2_angle
simulated = di.simulate(net, angle, pair, num_seeds=10_000)
names = ("tapered", "second_order", "first_order", "paper")
theories = [di.predict(net, angle, pair, name) for name in names]
compared = di.compare(simulated, *theories, di.infinite(net, angle, pair))
fig = di.plots.residuals(compared.dataset, title="Distance of every theory")
