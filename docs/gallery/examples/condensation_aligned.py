"""How many neurons are aligned, and when.

Share of neurons within a cosine of a predicted direction by training step, with its law at leading
order. In the infinite-width (lazy) limit no neuron turns.
"""

import deepinit as di

data, aligned = di.targets.sum_of_sines(seed=1), di.quantities.aligned_fraction
net = di.training.small_mlp((100,), di.tanh, std=1e-5)
rate = 0.02 / di.theory.condensation.growth_rate(data.inputs, data.targets)
run = di.TrainingConfig(data, range(0, 321, 20), rate=rate, initial_stage=True)
simulated = di.simulate(net, aligned, run, num_seeds=50)
fig = di.plots.layers(simulated, di.predict(net, aligned, run), di.infinite(net, aligned, run))
