"""Trained residual networks and their limit.

Test accuracy of residual networks of width = depth on MNIST digits after 200 steps of Adam, and of
regression with the kernel of infinite width and depth (line) {cite:p}`peluchetti2021doubly`.
"""

import numpy as np

import deepinit as di
from deepinit.theory.diffusion import linear_model

train, test, sizes, rates = di.targets.digits(500), di.targets.digits(500, skip=500), (4, 8, 16), []
run = di.TrainingConfig(train, (200,), "adam", 0.01, loss="cross_entropy", test=test)
for size in sizes:
    laws = {"bias_law": di.normal(0.01, "depth"), "embedding_law": di.normal(1.0)}
    net = di.network(di.ResNet(size, size, block="shallow", output_width=10, **laws))
    found = di.simulate(net, di.quantities.accuracy, run, num_seeds=4)
    rates.append((found.mean[-1, 1], found.standard_error[-1, 1]))
prior, y = linear_model("tanh", 1.0, 0.01, embedding_var=1 / 784), np.eye(10)[train.targets]
limit = di.inference.linear_model(train.inputs, y, test.inputs, *prior, 1 / 500)
lines = {"both limits": (sizes, [np.mean(limit.mean.argmax(1) == test.targets)] * 3)}
labels = {"x_label": "width and depth", "y_label": "test accuracy", "title": "Digits"}
fig = di.plots.series({"Adam": (sizes, *zip(*rates))}, lines, **labels)
