"""Distances that layers never expand.

Hilbert's and Thompson's metrics between two signals of random positive layers, over their first
values. Thompson's tends to the difference of the two sizes, Hilbert's is one of directions
{cite:p}`avelin2022deep`.
"""

import numpy as np

import deepinit as di
from deepinit.random_maps import iterates, layer_classes, metrics, scaled

rng, layers, depths = np.random.default_rng(0), layer_classes.POSITIVE_HOMOGENEOUS, np.arange(10)
weights, starts = rng.uniform(size=(9, 8, 8)) / 4, rng.uniform(0.1, 9, (2, 8))
states, found = iterates.forward_iterates(weights, "relu", starts).states, {}
one, other = (scaled.Scaled(*(part[:, i] for part in states)) for i in (0, 1))
for metric in (metrics.thompson, metrics.metric_for(layers)):
    metrics.check_semi_invariant(metric, layers)
    distances = metric(one, other)
    found[metric.name] = depths, distances / distances[0]
labels = {"x_label": "layer", "y_label": "distance / first distance"}
fig = di.plots.series(found, found, **labels, log_y=True, lines_are="", title="Distances by layer")
