"""Critical initialization: `critical` for any activation, `norm_decay` where K* = 0.

`layer_fluctuations`: what depth over width adds to it.
"""

from deepinit.theory.criticality.critical_point import Critical, OtherSide, critical, other_side
from deepinit.theory.criticality.gradient_spread import Layers, layer_fluctuations
from deepinit.theory.criticality.origin import Decay, norm_decay

__all__ = [
    "Critical",
    "Decay",
    "Layers",
    "OtherSide",
    "critical",
    "layer_fluctuations",
    "norm_decay",
    "other_side",
]
