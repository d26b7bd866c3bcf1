"""Critical initialization: `critical` for any activation, `norm_decay` where K* = 0."""

from deepinit.theory.criticality.critical_point import Critical, OtherSide, critical, other_side
from deepinit.theory.criticality.origin import Decay, norm_decay

__all__ = ["Critical", "Decay", "OtherSide", "critical", "norm_decay", "other_side"]
