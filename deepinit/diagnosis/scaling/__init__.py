"""Scaling with width: forward pass and first step, measured and predicted, layer by layer."""

from deepinit.diagnosis.scaling.check import scaling_check
from deepinit.diagnosis.scaling.parametrizations import (
    PARAMETRIZATIONS,
    Exponents,
    Parametrization,
    predicted,
)
from deepinit.diagnosis.scaling.result import Row, ScalingCheck

__all__ = [
    "PARAMETRIZATIONS",
    "Exponents",
    "Parametrization",
    "Row",
    "ScalingCheck",
    "predicted",
    "scaling_check",
]
