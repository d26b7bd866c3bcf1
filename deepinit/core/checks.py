"""Checks that several parts share, so that one function never accepts what the next one refuses."""

import math
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError, refusal
from deepinit.core.namespace import is_traced

LARGEST_ANGLE = float(np.float32(math.pi))  # pi rounded to float32 lies 9e-8 above pi; in float16 and bfloat16 below


def check_angle(theta: Any) -> None:
    """Refuse concrete angles outside [0, pi]; tracers pass, and so does pi rounded up to float32."""
    if is_traced(theta):
        return
    try:
        values = np.asarray(theta, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(refusal(f"theta={theta!r}", "numbers in [0, pi], in radians", "Pass floats.")) from None
    outside = ~((values >= 0.0) & (values <= LARGEST_ANGLE))
    if outside.any():
        raise SpecError(
            refusal(
                f"theta={theta if values.ndim == 0 else values[outside][:3]}",
                "angles in [0, pi], in radians",
                "Convert degrees by numpy.deg2rad; take |theta| for signed angles.",
            )
        )
