"""Checks that several parts share, so that one function never accepts what the next one refuses."""

import math
import numbers
import operator
from typing import Any

import numpy as np

from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError

DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "high", "default")
LARGEST_ANGLE = float(
    np.float32(math.pi)
)  # pi rounded to float32 lies 9e-8 above pi; in float16 and bfloat16 below


def check_angle(theta: Any) -> None:
    """Refuse concrete angles outside [0, pi]; tracers pass, and so does pi rounded up to float32."""
    if is_traced(theta):
        return
    try:
        values = np.asarray(theta, dtype=np.float64)
    except (TypeError, ValueError):
        raise SpecError(
            f"theta={theta!r}", "numbers in [0, pi], in radians", "Pass floats."
        ) from None
    outside = ~((values >= 0.0) & (values <= LARGEST_ANGLE))
    if outside.any():
        raise SpecError(
            f"theta={theta if values.ndim == 0 else values[outside][:3]}",
            "angles in [0, pi], in radians",
            "Convert degrees by numpy.deg2rad; take |theta| for signed angles.",
        )


def check_dtype(dtype: Any) -> None:
    """Refuses an unknown dtype, and float64 outside JAX's 64-bit mode, where JAX would take float32 in silence."""
    _check_name("dtype", dtype, DTYPES)
    if dtype == "float64":
        import jax

        if not getattr(jax.config, "jax_enable_x64", False):
            raise SpecError(
                "dtype='float64' with JAX's 64-bit mode off",
                "float32, or float64 in 64-bit mode",
                "Call inside `with jax.enable_x64(True):`.",
            )


def check_precision(precision: Any) -> None:
    """Refuses an unknown precision of matrix products."""
    _check_name("precision", precision, PRECISIONS)


def _check_name(name: str, given: Any, allowed: tuple[str, ...]) -> None:
    if not (isinstance(given, str) and given in allowed):
        raise SpecError(f"{name}={given!r}", ", ".join(allowed), f"{allowed[0]} is the default.")


def check_integer(name: str, given: Any, least: int, remedy: str, most: int | None = None) -> int:
    """The integer as Python's; refuses what is not one of least, ..., most (no upper end if None)."""
    try:
        allowed = operator.index(given) >= least and (most is None or operator.index(given) <= most)
    except TypeError:
        allowed = False
    allowed = allowed and not isinstance(given, bool)  # which counts as 0 or 1
    if not allowed:
        integers = f"integers >= {least}" if most is None else f"integers from {least} to {most}"
        raise SpecError(f"{name}={given!r}", integers, remedy)
    return operator.index(given)


def check_num_seeds(num_seeds: Any) -> int:
    """Refuses fewer than one network, parts of a network, and more networks than 32 bits number."""
    return check_integer(
        "num_seeds", num_seeds, 1, "A thousand networks give 3 % error bars.", most=2**32 - 1
    )


def is_number(value: Any) -> bool:
    """A real number, of Python or NumPy."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal length
        return False
    return array.ndim == 0 and array.dtype.kind in "iuf"


def real_number(value: Any) -> float | None:
    """A real number of Python, NumPy or JAX as a float, -0 as 0; None for anything else, booleans among it.

    What equals a number is then stored as that number: one JSON text, one hash.
    """
    if is_traced(value) or not (isinstance(value, numbers.Rational) or is_number(value)):
        return None
    try:
        return None if isinstance(value, bool) else float(value) + 0.0
    except OverflowError:
        return None


def whole_number(value: Any) -> int | None:
    """A whole number of Python, NumPy or JAX, 3.0 among them, as an integer; None for anything else."""
    number = real_number(value)
    return (
        int(value)
        if number is not None and math.isfinite(number) and number == int(number)
        else None
    )


def chosen(
    what: str, value: Any, allowed: tuple[str, ...], remedy: str = "Check the spelling."
) -> str:
    """The one of the allowed texts that equals the value, as Python's own string.

    Args:
        what: what a refusal writes before the value (`block=`, `the law `).
        value: what was given.
        allowed: all texts that may be.
        remedy: last sentence of a refusal.

    Raises:
        SpecError: none of them.
    """
    found = [each for each in allowed if isinstance(value, str) and value == each]
    if not found:
        raise SpecError(f"{what}{value!r}", ", ".join(allowed), remedy)
    return found[0]


def real_numbers(values: Any) -> np.ndarray | None:
    """The values in float64; None where they are no array of real numbers, text that spells numbers among it."""
    try:
        array = np.asarray(values)
        return None if array.dtype.kind in "USOc" else array.astype(np.float64)
    except (
        TypeError,
        ValueError,
        OverflowError,
    ):  # rows of unequal length, or a kind without numbers
        return None


def shape_in_words(values: Any) -> str:
    """For refusals: the shape, or that there is none."""
    array = real_numbers(values)
    return "no shape (not an array of real numbers)" if array is None else f"shape {array.shape}"
