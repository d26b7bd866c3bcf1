"""Angles under several activations.

Two inputs at an angle of 0.5 in networks of width 128, every activation at its critical variance.
Only ReLU makes inputs parallel within 16 layers. Dashed lines are infinite width.
"""

import deepinit as di

pair, angle = di.inputs.pair(0.5), di.quantities.log_sin2_angle
results = {}
for name in ("relu", "tanh", "gelu", "silu"):
    net = di.MLP(widths=(128,) * 16, activation=name)
    simulated = di.simulate(net, angle, pair, num_seeds=1000)
    results[name] = [simulated, di.infinite(net, angle, pair)]
fig = di.plots.layers(results, title="Angles under several activations", spread=False)
