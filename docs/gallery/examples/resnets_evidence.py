"""Empirical Bayes chooses the variances of a network.

Negative log marginal likelihood of 100 digits, 3 against 7, under the residual network of infinite
width and depth, along each of its variances {cite:p}`peluchetti2021doubly`.
"""

import numpy as np

import deepinit as di
from deepinit.theory.diffusion import linear_model

images, labels = di.inputs.images()
rows = np.concatenate([images[labels == digit][:50] for digit in (3, 7)]) * 2 - 1
data, lines = di.inference.spectrum(rows, np.repeat([-1.0, 1.0], 50)), {}
for place, name in enumerate(("weight variance", "bias variance", "embedding variance")):
    values, factors = [], np.geomspace(0.01, 10, 31)
    for factor in factors:
        w, b, z = (1, 1, 1 / 784) * factor ** np.eye(3)[place]
        model = linear_model("tanh", w, b, embedding_var=z)
        values.append(-di.inference.linear_log_marginal(data, *model, 0.01).value / 100)
    lines[name] = (factors, values)
names = {"x_label": "factor of one variance", "y_label": "negative log likelihood per image"}
fig = di.plots.series({}, lines, **names, log_x=True, title="Evidence")
