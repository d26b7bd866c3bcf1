"""Angle of two inputs through a random network at finite width."""

from deepinit.theory.angles.chain import approximation_1, infinite_width_angles
from deepinit.theory.angles.layer import THEORIES, log_sin2_mean, log_sin2_variance, rho
from deepinit.theory.angles.propagation import Walk, log_sin2_moments, log_sin2_propagation
from deepinit.theory.angles.small_angle import (
    Degeneracy,
    SmallAngleMoments,
    degeneracy_probability,
    small_angle_log_sin2_moments,
)

__all__ = [
    "THEORIES",
    "Degeneracy",
    "SmallAngleMoments",
    "Walk",
    "approximation_1",
    "degeneracy_probability",
    "infinite_width_angles",
    "log_sin2_mean",
    "log_sin2_moments",
    "log_sin2_propagation",
    "log_sin2_variance",
    "rho",
    "small_angle_log_sin2_moments",
]
