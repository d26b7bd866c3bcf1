"""Gradients of a network with and without normalization.

Gradient norms by layer of a SiLU network: plain, and with RMSNorm before every activation.
"""

import numpy as np

import deepinit as di

L, points, gradient, drawn = di.layers, di.inputs.ones(128), di.quantities.log_gradient_norm, {}
stacks = {
    "plain": (L.Dense(128, di.normal(1.0)), L.Activation("silu")),
    "RMSNorm": (L.Dense(128), L.RMSNorm(), L.Activation("silu")),
}
for name, stack in stacks.items():
    net = L.Sequential(L.Repeat(L.Sequential(*stack), 12), L.Dense(1))
    found = di.simulate(net, gradient, points, num_seeds=200)
    place = np.linspace(0, 12, len(found.mean))  # of the layers of 12 blocks
    drawn[name] = (place, found.mean[:, 0], found.standard_error[:, 0])
fig = di.plots.series(drawn, x_label="block", y_label=gradient.symbol, title="Gradients by block")
