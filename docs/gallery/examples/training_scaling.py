"""Which parametrization keeps learning as the width grows.

Change of every layer in the first step of Adam under muP, from width 64 to 4096, with the predicted
exponents. No weight matrix is formed.
"""

import deepinit as di

check = di.scaling_check(
    lambda n: di.MLP((n,) * 3, "tanh"),
    (64, 256, 1024, 4096),
    parametrization="mup",
    optimizer="adam",
)
fig = di.plots.scaling_check(check)
