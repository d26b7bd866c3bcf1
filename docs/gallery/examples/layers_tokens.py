"""Tokens become similar without residual branches.

Mean cosine between the tokens of a sequence through 8 pre-norm attention blocks, with and without
residual sums.
"""

import numpy as np

import deepinit as di

L, tokens, cosine = di.layers, di.inputs.tokens(8), di.quantities.token_cosine
plain = L.Sequential(L.LayerNorm(), L.Attention(4), L.Dense(128), L.Activation("gelu"))
points = {}
for name, block in (("residual", L.Residual(plain)), ("plain", plain)):
    net = L.Sequential(L.Embed(128), L.Repeat(block, 8), L.Dense(1))
    found = di.simulate(net, cosine, tokens, num_seeds=200)
    place = np.linspace(0, 8, len(found.mean))  # a plain block has four layers
    points[name] = (place, found.mean[:, 0], found.standard_error[:, 0])
labels = {"x_label": "block", "y_label": "mean cosine between tokens", "title": "Tokens by block"}
fig = di.plots.series(points, **labels)
