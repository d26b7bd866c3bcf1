"""The predicted directions attract.

Motion of the input weights (weight, bias) of neurons with one input at initialization, the
directions predicted from the data alone, and the neurons of one network at the first drop of its
loss {cite:p}`zhou2022condensation`.
"""

import jax
import numpy as np

import deepinit as di
from deepinit.theory.condensation import predict_orientations, target_form

data, turn = di.targets.two_sines(), np.linspace(0, 2 * np.pi, 40)
fields, rays, neurons, places = {}, {}, {}, np.stack([np.cos(turn), np.sin(turn)], axis=1)
run = {"mode": "neuron_flow", "rate": 0.02, "record_steps": (600,), "stop_drop": 0.01}
record = lambda now: di.training.layer_vectors(now.parameters)["layer 1"]
for p, activation in ((1, di.tanh), (2, di.x_tanh), (3, di.x2_tanh)):
    net = di.training.perceptron(di.training.small_mlp((50,), activation, std=1e-5))
    train = jax.jit(di.training.training_seed_fn(net, data, record=record, **run))
    neurons[f"p = {p}"] = train(jax.random.key(0)).values[-1]
    rays[f"p = {p}"] = predict_orientations(data.inputs, data.targets, activation).directions
    fields[f"p = {p}"] = (places, target_form(data.inputs, data.targets, p).gradient(places))
fig = di.plots.direction_field(fields, orientations=rays, neurons=neurons, title="Directions")
