"""Measurable quantities: measurement, finite-width theories, infinite-width limit.

A `Quantity` holds `measurement`, a tap on the forward pass (`Forward`, `ExactLaw`), backward pass
(`Backward`) or training (`Trained`); `theories`; `events`. `simulate`, `predict`, `infinite`, runs
and plots read it. New ones: tap and theories in a module here, appended to `_ALL`.
"""

from deepinit.quantities.angles import log_sin2_angle
from deepinit.quantities.attention import attention_entropy, token_cosine
from deepinit.quantities.condensation import (
    aligned_fraction,
    drop_time,
    line_count,
    orientation_count,
    relative_distance,
)
from deepinit.quantities.cosines import cosine
from deepinit.quantities.distances import log_distance
from deepinit.quantities.gradients import log_gradient_norm, log_singular_values
from deepinit.quantities.kernels import bias_ntk, nngp, ntk
from deepinit.quantities.kinds import Backward, ExactLaw, Forward, Trained
from deepinit.quantities.lengths import length_distortion, log_volume
from deepinit.quantities.outputs import output_kurtosis
from deepinit.quantities.quantity import Quantity
from deepinit.quantities.routes import infinite, predict, simulate
from deepinit.quantities.survival import log_norm, survival
from deepinit.quantities.theory import Theory
from deepinit.quantities.training import accuracy, training_loss

_ALL = (
    log_sin2_angle,
    cosine,
    log_distance,
    log_volume,
    length_distortion,
    orientation_count,
    line_count,
    aligned_fraction,
    drop_time,
    relative_distance,
    training_loss,
    accuracy,
    log_norm,
    survival,
    nngp,
    ntk,
    output_kurtosis,
    bias_ntk,
    log_gradient_norm,
    log_singular_values,
    token_cosine,
    attention_entropy,
)
BUILTIN = {quantity.name: quantity for quantity in _ALL}

__all__ = [
    "BUILTIN",
    "Backward",
    "ExactLaw",
    "Forward",
    "Quantity",
    "Theory",
    "Trained",
    "accuracy",
    "aligned_fraction",
    "attention_entropy",
    "bias_ntk",
    "cosine",
    "drop_time",
    "infinite",
    "length_distortion",
    "line_count",
    "log_distance",
    "log_gradient_norm",
    "log_norm",
    "log_sin2_angle",
    "log_singular_values",
    "log_volume",
    "nngp",
    "ntk",
    "orientation_count",
    "output_kurtosis",
    "predict",
    "relative_distance",
    "simulate",
    "survival",
    "token_cosine",
    "training_loss",
]
