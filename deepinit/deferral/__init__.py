"""The law of any JAX function, its Gaussian matrices drawn only as far as they act."""

from deepinit.deferral.function import deferred

__all__ = ["deferred"]
