"""Angles under several activations.

Every activation at its critical variance has its own rate. The lines are infinite width.
"""

import deepinit as di

pair, angle = di.inputs.pair(0.5), di.quantities.log_sin2_angle
results = {}
for name in ("relu", "tanh", "gelu", "silu"):
    net = di.MLP(widths=(128,) * 16, activation=name)
    simulated = di.simulate(net, angle, pair, num_seeds=1000)
    results[name] = [simulated, di.infinite(net, angle, pair)]
fig = di.plots.layers(results, title="Angles under several activations")
