"""All layers of a deep network condense.

Cosine similarities of the input weights of five hidden layers with 18 tanh neurons, after 1400
steps of Adam, without (first row) and with residual sums {cite:p}`zhou2022condensation`.
"""

import jax

import deepinit as di
from deepinit.observables.orientations import cosine_similarities, display_order

data = di.targets.centred(di.targets.sum_of_sines(3, amplitude=4.0, frequency=12.0))
spec, panels = di.training.small_mlp((18,) * 5, di.tanh, std=0.01), {}
for name, residual in (("", False), ("residual, ", True)):
    net = di.training.perceptron(spec, residual=residual)
    run = {"mode": "adam", "rate": 4e-5, "record_steps": (1400,)}
    train = jax.jit(di.training.training_seed_fn(net, data, **run))
    parameters = jax.tree.map(lambda x: x[-1], train(jax.random.key(0)).values)
    for layer, weights in list(di.training.layer_vectors(parameters).items())[:5]:
        cosines = cosine_similarities(weights)
        order = display_order(cosines)
        panels[name + layer] = cosines[order][:, order]
fig = di.plots.similarities(panels, title="Cosine similarities of input weights", columns=5)
