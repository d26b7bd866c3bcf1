"""The law of any JAX function, its Gaussian matrices drawn only as far as they act."""

from deepinit.deferral.function import deferred
from deepinit.deferral.taps import Tap, taps

__all__ = ["Tap", "deferred", "taps"]
