"""Forward iterates wander, backward iterates converge.

One neuron of products of contracting random layers, in two orders: T_t ... T_1 x and T_1 ... T_t x.
At every depth both have one law {cite:p}`avelin2022deep`.
"""

import numpy as np

import deepinit as di
from deepinit.random_maps import iterates, scaled

rng, neuron, layers = np.random.default_rng(0), np.eye(16)[:1], np.arange(81)
weights, biases = rng.normal(size=(80, 16, 16)) / 6, 0.5 * rng.normal(size=(80, 16))
given = weights, "tanh", np.ones(16)
forward = iterates.pulled_back_values(*given[:2], neuron, given[2], biases=biases)
backward = scaled.image(neuron, iterates.backward_iterates(*given, biases=biases))
found = {"forward iterates": forward, "backward iterates": backward}
points = {name: (layers, scaled.to_array(each)[:, 0]) for name, each in found.items()}
labels = {"x_label": "layer", "y_label": "neuron 1"}
fig = di.plots.series(points, points, **labels, lines_are="", title="Random layers in two orders")
