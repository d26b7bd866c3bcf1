"""Volumes shrink faster than lengths.

ln of the growth of 1-, 2- and 3-dimensional volumes at one point, with the exact means.
"""

import deepinit as di

net, volume = di.MLP(widths=(32,) * 16), di.quantities.log_volume
results = {}
for size in (1, 2, 3):
    frame = di.frames.random(dimension=8, size=size)
    simulated = di.simulate(net, volume, frame, num_seeds=2000)
    results[f"dimension {size}"] = [simulated, di.predict(net, volume, frame)]
fig = di.plots.layers(results, title="Volumes by dimension")
