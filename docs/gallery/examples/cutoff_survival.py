"""A narrow network dies.

Share of ReLU networks of width 1 to 4 whose signal is not exactly 0, by depth. At width 1 it
halves with every layer {cite:p}`avelin2022deep`.
"""

import deepinit as di

alive, ones = di.quantities.survival, di.inputs.ones(4)
results = {}
for width in (1, 2, 4):
    net = di.MLP(widths=(width,) * 24)
    results[f"width {width}"] = di.simulate(net, alive, ones, num_seeds=4000)
fig = di.plots.layers(results, title="Survival by depth", spread=False)
