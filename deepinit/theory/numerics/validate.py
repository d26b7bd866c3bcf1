"""What the theory of lengths accepts: widths, moments, variances."""

import math
import numbers
from typing import Any

import numpy as np

from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError

LAWS = ("normal", "orthogonal")


def critical_var(slope: float) -> float:
    """The weight variance (times fan_in) that keeps the mean square: 2 / (1 + slope^2)."""
    return 2.0 / (1.0 + slope * slope)


def network_widths(widths: Any, least: int = 2) -> tuple[int, ...]:
    """The widths n_0, ..., n_L as integers >= 1, at least `least` of them."""
    try:
        given = tuple(widths)
    except TypeError:
        given = ()
    if len(given) < least or not all(_is_width(n) for n in given):
        raise SpecError(
            f"widths={widths!r}",
            f"at least {least} integers >= 1: input width first, then one per layer",
            "Write (784, *[256] * 10, 10).",
        )
    return tuple(int(n) for n in given)


def width_array(width: Any) -> np.ndarray:
    """An array of integers >= 1."""
    if is_traced(width):
        raise SpecError(
            "a traced width",
            "a concrete width: the host sums over the units that are on",
            "Close over the width.",
        )
    try:
        values = (
            np.asarray(width, dtype=np.float64)
            if not isinstance(width, str)
            else np.asarray(math.nan)
        )
    except (TypeError, ValueError, OverflowError):
        values = np.asarray(math.nan)
    if not ((values >= 1) & (values <= 2.0**53) & (values == np.floor(values))).all():
        raise SpecError(
            f"width={width!r}",
            "integers >= 1, below 2^53",
            "The width is that of the layer produced.",
        )
    return values.astype(np.int64)


def check_moment(m: Any) -> None:
    """Refuse moments that are negative or no number."""
    if not (_is_real(m) and m >= 0):
        raise SpecError(
            f"m={m!r}",
            "a finite number >= 0",
            "Negative moments are infinite or undefined where units can be off; see log_length_moments.",
        )


def check_slope(slope: Any) -> None:
    """Refuse slopes that are not finite."""
    if not _is_real(slope):
        raise SpecError(
            f"negative_slope={slope!r}", "a finite number", "ReLU is 0, leaky ReLU often 0.01."
        )


def check_law(law: Any) -> None:
    """Refuse laws without an exact law of lengths."""
    if law not in LAWS:
        raise SpecError(
            f"law={law!r}",
            "'normal' or 'orthogonal'",
            "Lengths have an exact law for these only; truncated, uniform and sparse weights share the mean square "
            "(m = 2) and must be simulated for the rest.",
        )


def check_variance(name: str, variance: Any) -> float:
    """A finite variance >= 0 as a float."""
    if not (_is_real(variance) and variance >= 0):
        raise SpecError(
            f"{name}={variance!r}",
            "a finite number >= 0, the variance times fan_in",
            "He is hidden_var=2.",
        )
    return float(variance)


def check_dimension(d: Any) -> None:
    """Refuse dimensions of a volume below 1 or not whole."""
    if not _is_width(d):
        raise SpecError(
            f"d={d!r}",
            "an integer >= 1",
            "d is the dimension of the input manifold; 1 for a curve.",
        )


def _is_real(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_width(value: Any) -> bool:
    return _is_real(value) and value >= 1 and value == int(value)
