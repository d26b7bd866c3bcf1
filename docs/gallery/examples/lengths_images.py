"""Curves between images.

Length of a line between two MNIST digits and of a circle through three, by layer, in ReLU networks
of width 64. The exact mean holds for every curve {cite:p}`hanin2022deep`.
"""

import deepinit as di

images, _ = di.inputs.images()
curves = {
    "line": di.curves.line(images[0], images[2500]),
    "circle": di.curves.circle_through(images[0], images[1500], images[3000]),
}
net, length, drawn = di.MLP(widths=(64,) * 12), di.quantities.length_distortion, {}
for name, curve in curves.items():
    sampled = di.curves.sampled(curve)
    simulated = di.simulate(net, length, sampled, num_seeds=500)
    comparison = di.compare(simulated, di.predict(net, length, sampled))
    drawn[name] = (curve, comparison.dataset)
fig = di.plots.curve_images(drawn, title="Curves between digits")
