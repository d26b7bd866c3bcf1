"""Growth of signals and of tangents.

Rates per layer of ln |x| and of a tangent's ln |v| in ReLU networks of 40 layers, over 500
networks, and the exact rate of the norm {cite:p}`avelin2022deep`.
"""

import jax
import numpy as np

import deepinit as di
from deepinit.random_maps import drifts, iterates
from deepinit.theory.cutoff import log_norm_drift

widths, found = np.array([12, 16, 24, 32, 48]), {"signal": [], "tangent": []}
for n in widths:
    weights = np.random.default_rng(n).normal(0, (2 / n) ** 0.5, (500, 40, n, n))
    follow = lambda w, n=n: iterates.tangent_iterates(w, "relu", np.ones(n), np.eye(n)[0])
    walks, growth = jax.lax.map(follow, weights.astype(np.float32))
    for name, each in (("signal", walks.increments), ("tangent", growth)):
        found[name].append(drifts.drift_of_increments(each)[:2])  # mean and standard error
points = {name: (widths, *np.transpose(rates)) for name, rates in found.items()}
exact = {"exact, signal": (widths, log_norm_drift("relu", widths, 2.0).drift)}
fig = di.plots.series(points, exact, x_label="width", y_label="growth of ln norm per layer")
