"""Neurons share directions.

Cosine similarities of the input weights of one network with 50 neurons and five inputs, at the
first drop of the loss, from very small weights {cite:p}`zhou2022condensation`.
"""

import jax

import deepinit as di
from deepinit.observables.orientations import cosine_similarities, display_order

data, panels = di.targets.sum_of_sines(seed=1), {}
run = {"mode": "neuron_flow", "rate": 0.02, "record_steps": (600,), "stop_drop": 0.01}
record = lambda now: di.training.layer_vectors(now.parameters)["layer 1"]
for p, activation in ((1, di.tanh), (2, di.x_tanh), (3, di.x2_tanh)):
    net = di.training.perceptron(di.training.small_mlp((50,), activation, std=1e-5))
    train = jax.jit(di.training.training_seed_fn(net, data, record=record, **run))
    cosines = cosine_similarities(train(jax.random.key(0)).values[-1])
    order = display_order(cosines)
    panels[f"multiplicity {p}"] = cosines[order][:, order]
fig = di.plots.similarities(panels, title="Cosine similarities of input weights")
