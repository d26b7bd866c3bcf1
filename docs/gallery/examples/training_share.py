"""How deep may a network be?

Share of networks like this one that trained in the registered study, by depth, for ReLU networks of
width 32. Bars are the predicted range.
"""

import deepinit as di

depths, shares = (2, 5, 10, 20, 40), []
for depth in depths:
    verdict = di.diagnose(di.MLP((32,) * depth, "relu", output_width=10)).verdict
    shares.append((verdict.share, (verdict.interval[1] - verdict.interval[0]) / 2))
labels = {"x_label": "depth", "y_label": "share of networks that train", "log_x": True}
fig = di.plots.series({"width 32": (depths, *zip(*shares))}, **labels, title="Will it train?")
