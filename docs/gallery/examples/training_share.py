"""How deep may a network be?

Share of networks like this one that trained in the registered study, by depth, for ReLU networks of
width 32. Bars are the range of the observed share.
"""

import numpy as np

import deepinit as di
from deepinit.diagnosis.scores import scores
from deepinit.diagnosis.verdict import calibrated, verdict

depths, shares, bars = (2, 10, 20, 40), [], []
rows = di.inputs.points(np.random.default_rng(0).standard_normal((16, 196)))
for depth in depths:
    found = scores(di.MLP((32,) * depth, "relu", output_width=10), rows, num_seeds=16)
    judged = verdict(found.scores, found.num_seeds)
    shares.append(calibrated(judged)), bars.append(np.ptp(judged.interval) / 2)
labels = {"x_label": "depth", "y_label": "share of networks that train", "log_x": True}
fig = di.plots.series({"width 32": (depths, shares, bars)}, **labels, title="Will it train?")
