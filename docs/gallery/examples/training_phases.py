"""Where gradients vanish and explode.

Gradient norm at the first of 20 tanh layers of width 64, by the variances of weights and biases.
Between vanishing (dark) and exploding (bright) gradients lies the edge of chaos.
"""

import numpy as np

import deepinit as di

grid = {
    "bias_law.variance": [0.01, 0.03, 0.1, 0.3, 1.0],
    "weight_law.variance": [float(value) for value in np.arange(0.5, 4.1, 0.5)],
}
net = di.MLP((64,) * 20, "tanh", di.normal(1.0), di.normal(0.1, "absolute"), output_width=1)
sweep, gradient = di.Sweep(net, over=grid), di.quantities.log_gradient_norm
found = di.simulate(sweep, gradient, di.inputs.ones(64), num_seeds=50)
fig = di.plots.sweep(found, layer=1, title="Gradients by variances")
