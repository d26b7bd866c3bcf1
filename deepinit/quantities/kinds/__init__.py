"""How one network is measured: on the way forward, on the way back, while it trains, or from the exact law of its layers.

Every kind answers the same questions: `accepts` (the kind of inputs), `why_not` (what it has no meaning for), `linear_map` (the
one that a name stands for), `seed_fn` (key -> Measurement of one network), `cost`, `bytes` and `axis`.
"""

from deepinit.quantities.kinds.axis import Axis
from deepinit.quantities.kinds.backward import Backward
from deepinit.quantities.kinds.exact_law import ExactLaw
from deepinit.quantities.kinds.forward import Forward
from deepinit.quantities.kinds.trained import Trained

Kind = Forward | Backward | Trained | ExactLaw

__all__ = ["Axis", "Backward", "ExactLaw", "Forward", "Kind", "Trained"]
