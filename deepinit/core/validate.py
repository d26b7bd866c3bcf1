"""Checks of arguments: a name and a value -> the checked value, or SpecError."""

import difflib
import math
import numbers
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError

DTYPES = ("float32", "float64")
PRECISIONS = ("highest", "high", "default")
LARGEST_ANGLE = float(np.float32(math.pi))  # 9e-8 above pi; in float16 and bfloat16 below
_ROUNDING = 1e-8  # relative to the largest entry, for symmetry and positivity


def require(ok: Any, given: str, allowed: str, remedy: str = "") -> None:
    """Raise SpecError unless ok; where texts are costly or fallible, use `if` and `raise`."""
    if not ok:
        raise SpecError(given, allowed, remedy)


# Numbers


def integer(
    name: str, value: Any, least: int = 0, remedy: str = "", most: int | None = None
) -> int:
    """Integer in [least, most]."""
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or number < least or (most is not None and number > most):
        allowed = f"integers >= {least}" if most is None else f"integers from {least} to {most}"
        raise SpecError(f"{name}={value!r}", allowed, remedy)
    return number


def real(
    name: str, value: Any, least: float = -math.inf, most: float = math.inf, remedy: str = ""
) -> float:
    """Finite float in [least, most]."""
    number = real_number(value)
    if number is None or not math.isfinite(number) or not least <= number <= most:
        ends = [f">= {least:g}"] if least > -math.inf else []
        ends += [f"<= {most:g}"] if most < math.inf else []
        allowed = " ".join(["a finite number", " and ".join(ends)]).strip()
        raise SpecError(f"{name}={value!r}", allowed, remedy)
    return number


def positive(name: str, value: Any, remedy: str = "") -> float:
    """Finite float > 0."""
    number = real_number(value)
    if number is None or not 0.0 < number < math.inf:
        raise SpecError(f"{name}={value!r}", "a finite number > 0", remedy)
    return number


def not_negative(name: str, value: Any, remedy: str = "") -> float:
    """Finite float >= 0."""
    return real(name, value, 0.0, remedy=remedy)


def fraction(name: str, value: Any, remedy: str = "") -> float:
    """Float in (0, 1)."""
    number = real_number(value)
    if number is None or not 0.0 < number < 1.0:
        raise SpecError(f"{name}={value!r}", "a number between 0 and 1, ends excluded", remedy)
    return number


def num_seeds(value: Any) -> int:
    """Number of networks: 1 to 2^32 - 1."""
    remedy = "A thousand networks give 3 % error bars."
    return integer("num_seeds", value, 1, remedy, 2**32 - 1)


# Names and types


def choice(name: str, value: Any, allowed: Sequence[str], remedy: str = "") -> str:
    """Allowed text equal to the value, as a `str`; without a remedy the nearest one is named."""
    for text in allowed:
        if isinstance(value, str) and value == text:
            return text
    near = difflib.get_close_matches(value, allowed, n=1) if isinstance(value, str) else []
    remedy = remedy or (f"Did you mean {near[0]}?" if near else "Check the spelling.")
    raise SpecError(f"{name}={value!r}", ", ".join(allowed), remedy)


def flag(name: str, value: Any, remedy: str = "") -> bool:
    """Boolean, of Python or NumPy."""
    require(isinstance(value, bool | np.bool_), f"{name}={value!r:.80}", "True or False", remedy)
    return bool(value)


def instance(name: str, value: Any, kind: Any, allowed: str, remedy: str = "") -> None:
    """Raise SpecError unless an instance of `kind`."""
    require(isinstance(value, kind), f"{name} of type {type(value).__name__}", allowed, remedy)


def dtype(value: Any) -> str:
    """`float32`, or `float64` in 64-bit mode (else JAX silently takes float32)."""
    name = choice("dtype", value, DTYPES, f"{DTYPES[0]} is the default.")
    if name == "float64":
        import jax

        mode = getattr(jax.config, "jax_enable_x64", False)
        allowed = "float32, or float64 in 64-bit mode"
        remedy = "Call inside `with jax.enable_x64(True):`."
        require(mode, "dtype='float64' with JAX's 64-bit mode off", allowed, remedy)
    return name


def precision(value: Any) -> str:
    """Precision of matrix products."""
    return choice("precision", value, PRECISIONS, f"{PRECISIONS[0]} is the default.")


# Arrays


def angle(theta: Any) -> None:
    """Raise SpecError for concrete angles outside [0, pi]; float32's pi passes."""
    if is_traced(theta):
        return
    try:
        values = np.asarray(theta, dtype=np.float64)
    except (TypeError, ValueError):
        allowed = "numbers in [0, pi], in radians"
        raise SpecError(f"theta={theta!r}", allowed, "Pass floats.") from None
    outside = ~((values >= 0.0) & (values <= LARGEST_ANGLE))
    if outside.any():
        remedy = "Convert degrees by numpy.deg2rad; take |theta| for signed angles."
        given = f"theta={theta if values.ndim == 0 else values[outside][:3]}"
        raise SpecError(given, "angles in [0, pi], in radians", remedy)


def array(
    name: str, values: Any, shape: Sequence[int | str] | None = None, remedy: str = ""
) -> np.ndarray:
    """Finite real numbers of Python, NumPy or JAX in float64.

    `shape`: sizes; a text names any size >= 1. None for any shape. `remedy`: last sentence of the
    message.
    """
    numeric = real_numbers(values)
    if numeric is None:
        allowed = "an array of real numbers, rows of equal length"
        raise SpecError(f"{name} of type {type(values).__name__}", allowed, remedy)
    if shape is not None:
        sizes = zip(numeric.shape, shape, strict=False)
        fits = all(have == want if isinstance(want, int) else have >= 1 for have, want in sizes)
        allowed = f"shape [{', '.join(map(str, shape))}]"
        require(
            fits and numeric.ndim == len(shape), f"{name} of shape {numeric.shape}", allowed, remedy
        )
    require(np.isfinite(numeric).all(), f"{name} that is not finite", "finite numbers", remedy)
    return numeric


def symmetric(name: str, values: Any, size: int | None = None, remedy: str = "") -> np.ndarray:
    """[n, n] float64, symmetric to 1e-8 of its largest entry."""
    matrix = array(name, values, remedy=remedy)
    square = matrix.ndim == 2 and len(matrix) == matrix.shape[1] and matrix.size
    n = "n" if size is None else size
    fits = square and size in (None, len(matrix))
    require(fits, f"{name} of shape {matrix.shape}", f"a square matrix [{n}, {n}]", remedy)
    scale, skew = np.max(np.abs(matrix)), np.max(np.abs(matrix - matrix.T))
    given = f"{name} that differs from its transpose by {skew:.3g}, entries up to {scale:.3g}"
    require(skew <= _ROUNDING * scale, given, "a symmetric matrix", remedy)
    return 0.5 * (matrix + matrix.T)


def covariance(name: str, values: Any, size: int | None = None, remedy: str = "") -> np.ndarray:
    """[n, n] float64, symmetric positive semidefinite to 1e-8 of its largest entry."""
    matrix = symmetric(name, values, size, remedy)
    least = float(np.linalg.eigvalsh(matrix)[0])
    positive_enough = least >= -_ROUNDING * float(np.max(np.abs(matrix))) * len(matrix)
    given = f"{name} with the eigenvalue {least:.3g}"
    require(positive_enough, given, "a positive semidefinite matrix", remedy)
    return matrix


def widths(values: Any, least: int = 1, remedy: str = "Write (256,) * depth.") -> tuple[int, ...]:
    """Widths of at least `least` layers, each >= 1."""
    given = values if np.iterable(values) and not isinstance(values, str) else ()
    sizes = [whole_number(value) for value in given]
    checked = tuple(size for size in sizes if size is not None and size >= 1)
    ok = len(checked) == len(sizes) >= least
    require(ok, f"widths={values!r:.200}", f"at least {least} integers >= 1", remedy)
    return checked


# Conversions that return None instead of raising


def positions(name: str, value: Any) -> tuple[int, ...]:
    """(length,) or (height, width), integers >= 1."""
    sizes = [whole_number(size) for size in value] if np.iterable(value) else []
    checked = tuple(size for size in sizes if size is not None and size >= 1)
    if not 1 <= len(checked) <= 2 or len(checked) != len(sizes):
        allowed = "(length,) or (height, width), integers >= 1"
        raise SpecError(f"{name}={value!r}", allowed, "Write (8, 8).")
    return checked


def is_number(value: Any) -> bool:
    """Whether a real number."""
    try:
        array = np.asarray(value)
    except ValueError:  # rows of unequal length
        return False
    return array.ndim == 0 and array.dtype.kind in "iuf"


def real_number(value: Any) -> float | None:
    """Real number as a float, -0 as 0 (one JSON text and hash); None for others and booleans."""
    if is_traced(value) or not (isinstance(value, numbers.Rational) or is_number(value)):
        return None
    try:
        return None if isinstance(value, bool) else float(value) + 0.0
    except OverflowError:
        return None


def whole_number(value: Any) -> int | None:
    """Integer, also from 3.0; None for others."""
    number = real_number(value)
    is_whole = number is not None and math.isfinite(number) and number == int(number)
    return int(value) if is_whole else None


def real_numbers(values: Any) -> np.ndarray | None:
    """Real numbers in float64; None for others."""
    try:
        array = np.asarray(values)
        return None if array.dtype.kind in "USOc" else array.astype(np.float64)
    except (TypeError, ValueError, OverflowError):  # rows of unequal length, or other kinds
        return None


def shape_text(values: Any) -> str:
    """Shape of an array, for messages."""
    array = real_numbers(values)
    return "no shape (not an array of real numbers)" if array is None else f"shape {array.shape}"
