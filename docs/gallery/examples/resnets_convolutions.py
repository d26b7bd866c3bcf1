"""Convolutions learn what their limit cannot see.

Test accuracy of convolutional residual networks on MNIST digits (four each, with standard errors),
and of regression with the kernel of infinite width and depth (line). After a mean over positions
this kernel sees the mean brightness of an image alone: it is that of a fully connected network on
the mean, with 9 times the weight variance (3 x 3 patches, circular padding, tanh). Smaller than
{cite:t}`peluchetti2021doubly`: 500 digits of 7 x 7 pixels, 20 epochs of Adam on the cross-entropy,
4 to 16 channels and blocks instead of 15 to 150.
"""

import numpy as np

import deepinit as di

digits, sizes, accuracy = di.targets.digits(1000), (4, 8, 16), di.quantities.accuracy
z = digits.inputs.reshape(-1, 7, 4, 7, 4).mean(axis=(2, 4)).reshape(-1, 49)
train, test = (di.targets.examples(z[i::2], digits.targets[i::2]) for i in (0, 1))
run = di.TrainingConfig(train, (200,), "adam", 0.03, "cross_entropy", batch_size=50, test=test)
laws = {"bias_law": di.normal(0.01, "depth"), "embedding_law": di.normal(1.0), "output_width": 10}
nets = [di.network(di.ConvResNet((7, 7), n, n, **laws), parametrization="ntk") for n in sizes]
found = [di.simulate(net, accuracy, run, num_seeds=4) for net in nets]
points = (sizes, [f.mean[-1, 1] for f in found], [f.standard_error[-1, 1] for f in found])
means, prior = z.mean(1, keepdims=True), di.theory.diffusion.linear_model("tanh", 9.0, 0.01)
limit = di.inference.linear_model(means[::2], np.eye(10)[train.targets], means[1::2], *prior, 0.002)
lines = {"both limits": (sizes, [np.mean(limit.mean.argmax(1) == test.targets)] * 3)}
labels = {"x_label": "channels and depth", "y_label": "test accuracy", "title": "Coarse digits"}
fig = di.plots.series({"Adam": points}, lines, **labels)
