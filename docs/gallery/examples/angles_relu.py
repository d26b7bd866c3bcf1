"""Angles vanish faster than infinite width says.

Two inputs at an angle of 0.1 through 32 ReLU layers of width 256. The second-order theory of
{cite:t}`jakub2024depth` in its exact form follows the simulation; the infinite-width limit does
not.
"""

import deepinit as di

net = di.MLP(widths=(256,) * 32, activation="relu")
pair, angle = di.inputs.pair(0.1), di.quantities.log_sin2_angle
simulated = di.simulate(net, angle, pair, num_seeds=5000)
theories = di.predict(net, angle, pair), di.infinite(net, angle, pair)
fig = di.plots.layers(simulated, *theories, title="Angle of two inputs by layer")
