"""Residual networks of infinite depth as diffusions: equation, paths, Jacobians, coupled networks.

diffrax and JAX are imported on first use.
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
