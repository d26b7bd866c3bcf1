"""How one network is measured: on the way forward, on the way back, while it trains, or from the exact law of its layers.

All kinds have the same members:

- `accepts`: type of the inputs.
- `why_not(spec, inputs)`: the refusal where the quantity is undefined, else None.
- `linear_map(spec, inputs, name)`: resolves `auto`.
- `seed_fn(spec, inputs, settings)`: `key -> Measurement` of one network.
- `cost`, `bytes`: random numbers and working memory per network.
- `axis(spec, inputs)`: names and positions of the two axes of a Measurement.
- `statistic`: maps the Estimate of the tap to a statistic of the ensemble, or None.
"""

from deepinit.quantities.kinds.axis import Axis
from deepinit.quantities.kinds.backward import Backward
from deepinit.quantities.kinds.exact_law import ExactLaw
from deepinit.quantities.kinds.forward import Forward
from deepinit.quantities.kinds.trained import Trained

Kind = Forward | Backward | Trained | ExactLaw

__all__ = ["Axis", "Backward", "ExactLaw", "Forward", "Kind", "Trained"]
