"""Random functions of two variables.

One coordinate of residual networks of width and depth 50 over a square of inputs: swish and tanh
{cite:p}`peluchetti2021doubly`.
"""

import jax
import numpy as np
from matplotlib.figure import Figure

import deepinit as di

z = np.linspace(-2, 2, 41)
inputs = np.kron(np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2), np.ones(25))
fig = Figure(figsize=(8, 3.6), layout="constrained")
for ax, name in zip(fig.subplots(1, 2, sharey=True), ("tanh", "silu")):
    net = di.network(di.ResNet(50, 50, activation=name, block="shallow"))
    parameters = net.init(jax.random.key(1), 50)
    values = jax.jit(jax.vmap(net.apply, (None, 0)))(parameters, inputs)[:, 0].reshape(41, 41)
    fig.colorbar(ax.contourf(z, z, values, 20, cmap="viridis"), ax=ax, label="one coordinate")
    ax.set(title=name, xlabel="input $z_1$", ylabel="input $z_2$", aspect="equal")
