"""Order 1/width of a SwiGLU network.

Cosine of two inputs through residual SwiGLU blocks of width 64: the infinite-width limit, the
first correction, and networks.
"""

import deepinit as di

L, pair, cosine = di.layers, di.inputs.pair(0.5, dimension=16), di.quantities.cosine
block = L.Residual(L.Sequential(L.RMSNorm(), L.Dense(128), L.Gate("silu"), L.Dense(64)))
net = L.Sequential(L.Dense(64), L.Repeat(block, 6), L.Dense(1))
simulated = di.simulate(net, cosine, pair, num_seeds=4000)
theories = di.predict(net, cosine, pair), di.infinite(net, cosine, pair)
fig = di.plots.layers(simulated, *theories, title="Cosine of two inputs by layer")
