"""One record per measurable thing, tying its observable, its prediction and its infinite-width limit."""

from deepinit.quantities.angles import log_sin2_angle
from deepinit.quantities.lengths import length_distortion, log_volume
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.routes import infinite, predict, simulate

BUILTIN = {quantity.name: quantity for quantity in (log_sin2_angle, log_volume, length_distortion)}

__all__ = [
    "BUILTIN",
    "Quantity",
    "infinite",
    "length_distortion",
    "log_sin2_angle",
    "log_volume",
    "predict",
    "simulate",
]
