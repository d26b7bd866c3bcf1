"""Kinds of measurement: forward pass, backward pass, training, exact law.

Common members:
- `accepts`: type of the inputs; `entries(spec, inputs)`: distinct names along the last axis.
- `why_not(spec, inputs)`: the refusal where undefined, else None.
- `linear_map(spec, inputs, name)`: resolves `auto`; SpecError for maps that the law excludes.
- `parts(spec, inputs, settings, keep)`: `Parts` of `key -> Measurement` of one network; `Forward`
  also records `columns` for control variates;
  `cost(spec, inputs, linear_map)`, `bytes(spec, inputs, settings)`: its random numbers and working
  memory.
- `axis(spec, inputs)`: the two axes of a Measurement.
- `statistic`: `(spec, Estimate) -> Estimate` of the ensemble, equal in shape, or None; samples stay
  values of the tap. With control variates it is called twice: for the plain Estimate, and for the
  controlled one (`plain` is not None), whose errors are not those of a sample of these values.
"""

from deepinit.quantities.kinds.axis import Axis, Parts
from deepinit.quantities.kinds.backward import Backward
from deepinit.quantities.kinds.exact_law import ExactLaw
from deepinit.quantities.kinds.forward import Forward
from deepinit.quantities.kinds.trained import Trained

Kind = Forward | Backward | Trained | ExactLaw

__all__ = ["Axis", "Backward", "ExactLaw", "Forward", "Kind", "Parts", "Trained"]
