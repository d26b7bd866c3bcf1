"""Checks of the condensation theory."""

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Plain, Real

VANISHING = 1e-12  # relative to the sum of sizes, below which a sum of both signs is rounding


def check_rows(name: str, rows: Real[Array, "n *d"] | Plain) -> Float[np.ndarray, "n dimension"]:
    """Float64 rows, finite, not empty; [n] becomes [n, 1]."""
    array = validate.array(name, rows, remedy="Drop rows with NaN or infinity.")
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or array.size == 0:
        allowed = "[samples, dimension], or [samples] for dimension 1, not empty"
        raise SpecError(f"{name} of shape {array.shape}", allowed, "Flatten images to rows first.")
    return array


def check_targets(y: Real[Array, "n *column"] | Plain, num_samples: int) -> Float[np.ndarray, "n"]:
    """Float64, one finite number per sample; a column is flattened."""
    array = validate.array("y", y, remedy="Drop samples with NaN or infinity.")
    array = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    if array.shape != (num_samples,):
        given, allowed = f"y of shape {array.shape}", f"one number per sample, [{num_samples}]"
        raise SpecError(given, allowed, "For several outputs use multi_output_orientations.")
    return array


def with_bias(rows: Float[np.ndarray, "n d"], bias: bool) -> Float[np.ndarray, "n D"]:
    """Rows z = (x, 1), or x without bias."""
    validate.flag("bias", bias, "True appends the coordinate 1 to every input.")
    return np.column_stack([rows, np.ones(len(rows))]) if bias else rows


def nonzero(name: str, value: float, remedy: str) -> float:
    """A finite number other than 0."""
    number = validate.real(name, value, remedy=remedy)
    validate.require(number != 0.0, f"{name}=0", "a finite number, not 0", remedy)
    return number


def check_times(time: Real[Array, "*shape"] | Plain) -> Float[Like, "*shape"]:
    """Finite times >= 0."""
    array = validate.array("time", time)
    least = array.min(initial=0.0)
    validate.require(least >= 0.0, f"time down to {least:g}", "numbers >= 0", "Start at time 0.")
    return array
