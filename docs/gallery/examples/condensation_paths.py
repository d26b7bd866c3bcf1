"""Neurons turn before the loss falls.

Direction of every neuron of one network with one input, step by step, with the angles predicted
from the data {cite:p}`zhou2022condensation`.
"""

import jax
import jax.numpy as jnp

import deepinit as di
from deepinit.theory.condensation import predict_orientations

data, panels, predicted = di.targets.two_sines(), {}, {}
run = {"mode": "neuron_flow", "rate": 0.02, "record_steps": range(0, 601, 20), "stop_drop": 0.01}
angle = lambda vectors: jnp.arctan2(vectors[..., 1], vectors[..., 0])
record = lambda now: angle(di.training.layer_vectors(now.parameters)["layer 1"])
for p, activation in ((1, di.tanh), (2, di.x_tanh), (3, di.x2_tanh)):
    net = di.training.perceptron(di.training.small_mlp((50,), activation, std=1e-5))
    train = jax.jit(di.training.training_seed_fn(net, data, record=record, **run))
    panels[f"p = {p}"] = (run["record_steps"], train(jax.random.key(0)).values)
    rays = predict_orientations(data.inputs, data.targets, activation).directions
    predicted[f"p = {p}"] = angle(rays)
fig = di.plots.orientation_paths(panels, predicted=predicted, title="Angles of the neurons")
