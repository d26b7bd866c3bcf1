"""Three curves of a cut-off.

Share of networks whose signal is not exactly 0, by depth, when values are truncated to multiples
of 0.001: the three networks of {cite:t}`avelin2022deep`. At width 1 the line is exact.
"""

import deepinit as di

nets = {
    "tanh, width 1": ("tanh", 1, di.uniform(1 / 3)),
    "tanh, width 2": ("tanh", 2, di.uniform(1 / 3)),
    "swish, width 1": ("silu", 1, di.normal(1.0)),
}
alive, results = di.quantities.survival, {}
for name, (activation, width, law) in nets.items():
    net = di.MLP((width,) * 24, di.rounded(activation, 1e-3, "truncate"), law)
    results[name] = [di.simulate(net, alive, di.inputs.ones(width), num_seeds=5000)]
    if width == 1:
        results[name].append(di.predict(net, alive, di.inputs.ones(1), "exact"))
fig = di.plots.layers(results, title="Survival of truncated signals", spread=False)
