"""What the theory of condensation accepts: data, scales, times, data forms."""

import math
import numbers
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError

# A sum of terms of both signs that is this small against the sum of their sizes is zero up to rounding.
VANISHING = 1e-12


def check_rows(name: str, rows: Any) -> np.ndarray:
    """[n, dimension] float64, finite; one number per sample is taken as dimension 1."""
    array = _numbers(name, rows)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise SpecError(
            f"{name} of shape {array.shape}",
            "[samples, dimension], or [samples] for dimension 1, not empty",
            "Flatten images to rows first.",
        )
    return array


def check_targets(y: Any, num_samples: int) -> np.ndarray:
    """[n] float64, one finite number per sample; a column [n, 1] is flattened."""
    array = _numbers("y", y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.shape != (num_samples,):
        raise SpecError(
            f"y of shape {array.shape} with {num_samples} samples",
            f"one number per sample, shape ({num_samples},)",
            "For several outputs use multi_output_orientations.",
        )
    return array


def with_bias(rows: np.ndarray, bias: bool) -> np.ndarray:
    """The rows z = (x, 1), or x itself for neurons without bias."""
    if not isinstance(bias, bool | np.bool_):
        raise SpecError(
            f"bias={bias!r}", "True or False", "True appends the coordinate 1 to every input."
        )
    return np.column_stack([rows, np.ones(len(rows))]) if bias else rows


def check_real(
    name: str,
    value: Any,
    allowed: str,
    remedy: str,
    *,
    least: float = -math.inf,
    open_end: bool = False,
):
    """A finite real number >= least (> least if open_end), as a float."""
    real = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
    if not real or value < least or (open_end and value == least):
        raise SpecError(f"{name}={value!r}", allowed, remedy)
    return float(value)


def check_positive(name: str, value: Any, remedy: str) -> float:
    """A finite number > 0."""
    return check_real(name, value, "a finite number > 0", remedy, least=0.0, open_end=True)


def check_fraction(name: str, value: Any, remedy: str) -> float:
    """A number strictly between 0 and 1."""
    fraction = check_real(
        name, value, "a number between 0 and 1, ends excluded", remedy, least=0.0, open_end=True
    )
    if fraction >= 1.0:
        raise SpecError(f"{name}={value!r}", "a number between 0 and 1, ends excluded", remedy)
    return fraction


def check_times(time: Any) -> np.ndarray:
    """Finite times >= 0, any shape."""
    array = _numbers("time", time)
    if (array < 0.0).any():
        raise SpecError(f"time={time!r}", "numbers >= 0", "Gradient flow starts at time 0.")
    return array


def _numbers(name: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values)
        numeric = array.dtype.kind not in "USOc"
        array = array.astype(np.float64) if numeric else array
    except (TypeError, ValueError):
        numeric = False
    if not numeric:
        raise SpecError(
            f"{name} that is no array of real numbers",
            "rows of equal length",
            "Convert it to floats first.",
        )
    if not np.isfinite(array).all():
        raise SpecError(f"{name} that is not finite", "finite numbers", "Remove NaN and infinity.")
    return array
