"""Tokens become similar without residual branches.

Mean cosine between the tokens of a sequence in GPT-2, and in the same blocks without residual
sums.
"""

import deepinit as di

L, tokens = di.layers, di.inputs.tokens(8)
plain = L.Sequential(L.LayerNorm(), L.Attention(4), L.Dense(128), L.Activation("gelu"))
nets = {
    "residual": L.Sequential(L.Embed(128), L.Repeat(L.Residual(plain), 8), L.Dense(1)),
    "plain": L.Sequential(L.Embed(128), L.Repeat(plain, 8), L.Dense(1)),
}
cosine = di.quantities.token_cosine
results = {name: di.simulate(net, cosine, tokens, num_seeds=200) for name, net in nets.items()}
fig = di.plots.layers(results, component=0, title="Similarity of tokens by layer")
