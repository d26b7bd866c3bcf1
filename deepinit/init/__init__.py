"""Initializations by the names that frameworks and papers use, as laws of any network.

A scheme is a function `Place -> Laws`; `di.init.apply(network, scheme, inputs)` gives the network
these laws.
"""

from deepinit.init.frameworks import flax, gpt2, keras, pytorch, pytorch_conv, pytorch_linear
from deepinit.init.place import Laws, Place, Scheme
from deepinit.init.published import critical, fixup, glorot, he, lecun, mup, orthogonal
from deepinit.init.rewrite import apply, places

__all__ = [
    "Laws",
    "Place",
    "Scheme",
    "apply",
    "critical",
    "fixup",
    "flax",
    "glorot",
    "gpt2",
    "he",
    "keras",
    "lecun",
    "mup",
    "orthogonal",
    "places",
    "pytorch",
    "pytorch_conv",
    "pytorch_linear",
]
