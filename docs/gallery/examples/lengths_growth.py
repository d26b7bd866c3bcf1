"""Above which weight variance curves grow.

Mean length by layer at three weight variances, in networks of width 32. Growth needs more than
He's 2: the threshold is 2 + 5/width to first order.
"""

import deepinit as di

circle, length = di.curves.sampled(di.curves.circle()), di.quantities.length_distortion
results = {}
for variance in (1.5, 2.0, 2.5):
    net = di.MLP(widths=(32,) * 12, weight_law=di.normal(variance))
    simulated = di.simulate(net, length, circle, num_seeds=1000)
    results[f"variance {variance:g}"] = [simulated, di.predict(net, length, circle)]
fig = di.plots.layers(results, title="Length by weight variance", spread=False)
