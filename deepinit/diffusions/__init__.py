"""Residual networks of infinite depth as diffusions: the equation, its paths, its Jacobian, and networks coupled to it.

`path_fn(spec, inputs)` and `jacobian_fn(spec, inputs)` give functions of a key, to be mapped over keys; `coupled_errors` runs networks and
their limit on the same noise. diffrax and JAX are imported when one of these is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "coupled": ["CoupledErrors", "coupled_errors", "coupled_fn"],
        "equation": ["Equation", "drift_and_noise"],
        "jacobians": ["Jacobians", "jacobian_fn"],
        "paths": ["Paths", "path_fn"],
    },
)
