"""When weights condense: the phase diagram.

Relative distance of the input weights of tanh networks from their initialization at a loss drop of
10 %: exponent of the width m between m = 100 and 1600. Standard deviations of output and input
weights are m^(-(gamma + gamma')/2) and m^(-(gamma - gamma')/2). Above 0 weights condense, below 0
they stay. The boundary is that of wide ReLU networks {cite:p}`luo2021phase`.
"""

import numpy as np

import deepinit as di

x, slopes, distance = np.linspace(-1, 1, 8), [], di.quantities.relative_distance
points = [(g, h) for g in (0.8, 1.2, 1.6, 2.0, 2.4) for h in (-0.4, 0, 0.4, 0.8) if h < g]
run = di.TrainingConfig(di.targets.examples(x, x + 0.5), (4000,), "flow", stop_drop=0.1)
for g, h in points:
    logs = []
    for m in (100, 1600):
        stds = {"std": m ** ((h - g) / 2), "output_std": m ** (-(h + g) / 2)}
        net = di.training.small_mlp((m,), di.tanh, **stds)
        logs.append(np.log(di.simulate(net, distance, run, num_seeds=8).mean[-1, 0]))
    slopes.append((logs[1] - logs[0]) / np.log(16))
more = {"boundary": lambda h: 1 + max(0, h), "exponent_label": "exponent of the width"}
more["regimes"] = {"linear": (1.0, 0.6), "condensed": (2.0, -0.2)}
fig = di.plots.phase_diagram(points, slopes, title="Distance of the input weights", **more)
