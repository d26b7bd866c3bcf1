"""Adam condenses elsewhere.

Neurons of one small tanh network with one input, at a loss drop of 0.1 %, on a training set of
{cite:t}`zhou2022condensation`. Gradient descent turns the input weights (weight, bias) to v or -v,
v the mean of target times (input, 1). Adam, whose steps are nearly equal in all coordinates, turns
them to sign(v) or -sign(v) and makes their amplitudes equal.
"""

import jax
import numpy as np

import deepinit as di

data, panels, angle = di.targets.two_sines(), {}, lambda z: np.arctan2(z[:, 1], z[:, 0])
v = np.mean(data.targets * np.c_[data.inputs, np.ones(40)], axis=0)
sphere, cube = (angle(np.outer([1, -1], direction)) for direction in (v, np.sign(v)))
net = di.training.perceptron(di.training.small_mlp((100,), di.tanh, std=1e-7))
for name, mode, rate in (("gradient descent", "gd", 0.02 / np.hypot(*v)), ("Adam", "adam", 1e-6)):
    run = {"mode": mode, "rate": rate, "record_steps": (4000,), "stop_drop": 0.001}
    end = jax.jit(di.training.training_seed_fn(net, data, **run))(jax.random.key(0)).values
    w, a = (layer[-1] for layer in jax.vmap(di.training.layer_vectors)(end).values())
    panels[name] = (angle(w), np.abs(a[0]) * np.linalg.norm(w, axis=1))
rays, others = (dict(zip(panels, both)) for both in ((sphere, cube), (cube, sphere)))
rivals = ("predicted for the other optimizer", others)
fig = di.plots.amplitude_angles(panels, predicted=rays, rivals=rivals, title="Neurons by optimizer")
