"""When training is not lazy.

Loss of two-layer networks by training step, with the linearized network of infinite width, at two
scales of the initial weights. Both leave the linearization, small weights by far more.
"""

import deepinit as di

data, loss, width, results = di.targets.two_sines(), di.quantities.training_loss, 200, {}
for gamma, rate in ((0.5, 0.02), (1.0, 0.2)):
    net = di.training.small_mlp((width,), di.tanh, std=width ** (-gamma / 2))
    run = di.TrainingConfig(data, di.training.log_spaced_steps(3000, 20), rate=rate)
    simulated = di.simulate(net, loss, run, num_seeds=200)
    results[f"variance width^-{gamma:g}"] = [simulated, di.infinite(net, loss, run)]
fig = di.plots.layers(results, title="Loss in training", spread=False)
fig.axes[0].set(xscale="symlog", yscale="log")
