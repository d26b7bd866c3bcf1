"""Gradients of a network with and without normalization.

Gradient norms by layer of a SiLU network: plain, and with RMSNorm before every activation.
"""

import deepinit as di

L, points, gradient = di.layers, di.inputs.ones(128), di.quantities.log_gradient_norm
stacks = {
    "plain": (L.Dense(128, di.normal(1.0)), L.Activation("silu")),
    "RMSNorm": (L.Dense(128), L.RMSNorm(), L.Activation("silu")),
}
nets = {
    name: L.Sequential(L.Repeat(L.Sequential(*s), 12), L.Dense(1)) for name, s in stacks.items()
}
results = {n: di.simulate(net, gradient, points, num_seeds=200) for n, net in nets.items()}
fig = di.plots.layers(results, title="Gradients by layer")
