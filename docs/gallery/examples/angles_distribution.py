"""The distribution of an angle over networks.

ln sin² of the angle after 1 and 16 layers of width 64, over 10 000 networks, with the density of
the second-order theory {cite:p}`jakub2024depth`.
"""

import deepinit as di
from deepinit.theory.angles import log_sin2_propagation

net, pair, angle = di.MLP(widths=(64,) * 16), di.inputs.pair(0.1), di.quantities.log_sin2_angle
samples = di.simulate(net, angle, pair, num_seeds=10_000, keep_samples=True).samples[:, :, 0]
walk = log_sin2_propagation(0.1, net.widths)
fig = di.plots.histogram(
    {f"layer {layer}": samples[:, layer - 1] for layer in (1, 16)},
    density={f"layer {k}": {"second_order": (walk.grid, walk.density[k - 1])} for k in (1, 16)},
    label=angle.symbol,
    title="Distribution over networks",
)
