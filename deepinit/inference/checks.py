"""What inference accepts: kernel matrices and their blocks, targets that are numbers, noise; and kernels that it cannot solve with."""

from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError

SMALLEST, LARGEST = 1e-75, 1e75  # products of two squares, or their ratios, stay in float64
_ROUNDING = 1e-8  # relative to the largest entry, for symmetry and positivity: neural-tangents keeps about that many digits
RANK_ROUNDING = (
    1e-13  # eigenvalues below this times the number of rows times the largest one are rounding
)


def checked_kernel(name: str, given: Any) -> np.ndarray:
    """[n, n] float64, symmetric.

    Raises:
        SpecError: not square, not finite, not symmetric.
    """
    matrix = finite(name, given)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise SpecError(
            f"{name} of shape {matrix.shape}",
            "a square matrix [n, n]",
            "Evaluate the kernel at all pairs.",
        )
    scale = float(np.max(np.abs(matrix)))
    skew = float(np.max(np.abs(matrix - matrix.T)))
    if skew > _ROUNDING * scale:
        raise SpecError(
            f"{name} that differs from its transpose by {skew:.3g}, entries up to {scale:.3g}",
            "a symmetric matrix",
            "Rows and columns are the same inputs, in the same order; a block between two sets is a kernel_cross.",
        )
    return 0.5 * (matrix + matrix.T)


def checked_cross(name: str, given: Any, num_train: int, num_test: int | None = None) -> np.ndarray:
    """[m, n] float64: test inputs by training inputs.

    Raises:
        SpecError: another shape; values that are not finite.
    """
    matrix = finite(name, given)
    if matrix.ndim != 2 or matrix.shape[1] != num_train or num_test not in (None, len(matrix)):
        tests = "m" if num_test is None else num_test
        raise SpecError(
            f"{name} of shape {matrix.shape}",
            f"[{tests}, {num_train}]: test inputs as rows, training inputs as columns",
            "Transpose it, or give kernels of the same inputs.",
        )
    return matrix


def checked_targets(given: Any, num: int) -> tuple[np.ndarray, bool]:
    """Targets as [n, outputs] float64, and whether they came as [n].

    Raises:
        SpecError: classes, another number of rows, values that are not finite.
    """
    targets, raw = finite("targets", given), np.asarray(given)
    if raw.dtype.kind in "iub" and np.unique(raw).size > 2:
        raise SpecError(
            f"integer targets with {np.unique(raw).size} values, which look like classes",
            "numbers [n] or [n, outputs], as floats",
            "One-hot rows: np.eye(10)[labels]; if the numbers are meant, convert them: targets.astype(float).",
        )
    if targets.ndim not in (1, 2) or len(targets) != num or not targets.size:
        raise SpecError(
            f"targets of shape {targets.shape} for {num} training inputs",
            f"[{num}] or [{num}, outputs]",
            "One row of numbers for each training input.",
        )
    return targets.reshape(num, -1), targets.ndim == 1


def checked_noise(given: Any, name: str = "noise") -> float:
    """A variance: 0, or from 1e-75 to 1e75.

    Raises:
        SpecError: anything else.
    """
    if not (validate.is_number(given) and (given == 0.0 or SMALLEST <= given <= LARGEST)):
        raise SpecError(
            f"{name}={given!r}",
            f"0, or a number from {SMALLEST:g} to {LARGEST:g}, a variance",
            "Square a standard deviation first.",
        )
    return float(given)


def check_positive(name: str, given: Any) -> None:
    """Refuses what is no variance or time > 0, from 1e-75 to 1e75."""
    if not (validate.is_number(given) and SMALLEST <= given <= LARGEST):
        raise SpecError(
            f"{name}={given!r}",
            f"a number > 0 (from {SMALLEST:g} to {LARGEST:g})",
            "A variance or a time of 0 switches it off.",
        )


def checked_rows(name: str, given: Any, dimension: int | None = None) -> np.ndarray:
    """Inputs [num, dimension] float64.

    Raises:
        SpecError: another shape; values that are not finite.
    """
    rows = finite(name, given)
    if rows.ndim != 2 or not rows.size or dimension not in (None, rows.shape[1]):
        wanted = "dimension" if dimension is None else dimension
        raise SpecError(
            f"{name} of shape {rows.shape}", f"[num, {wanted}]", "One input a row; flatten images."
        )
    return rows


def finite(name: str, given: Any) -> np.ndarray:
    """Finite float64 of any shape.

    Raises:
        SpecError: no numbers, NaN, infinity, numbers beyond 1e75.
    """
    array = validate.real_numbers(given)
    if array is None:
        raise SpecError(
            f"{name} of {validate.shape_text(given)}", "real numbers", "Convert it to floats."
        )
    if not np.isfinite(array).all():
        raise SpecError(f"{name} with NaN or infinity", "finite numbers", "Remove them first.")
    largest = float(np.max(np.abs(array), initial=0.0))
    if largest > LARGEST:
        raise SpecError(
            f"{name} with numbers up to {largest:.3g}",
            f"numbers up to {LARGEST:g}, whose squares stay in float64",
            "Rescale it, and the variances with it.",
        )
    return array


def cannot_solve(name: str, eigenvalues: np.ndarray, noise: float) -> SpecError:
    """Why kernel + noise has no Cholesky factor: not positive semidefinite, or singular and of which rank.

    Args:
        name: of the kernel.
        eigenvalues: of the kernel, ascending.
        noise: that was added.
    """
    num, largest = len(eigenvalues), float(np.max(np.abs(eigenvalues)))
    if eigenvalues[0] < -_ROUNDING * largest * num**0.5:
        return SpecError(
            f"{name} with the eigenvalue {eigenvalues[0]:.3g} (the largest is {eigenvalues[-1]:.3g})",
            "a positive semidefinite matrix",
            "No kernel has negative eigenvalues: check how its blocks were put together.",
        )
    rank = numerical_rank(eigenvalues)
    return SpecError(
        f"{name} [{num}, {num}] of numerical rank {rank} with noise {noise:g}: it cannot be inverted",
        "a kernel of full rank, or noise well above its rounding",
        "An affine kernel, intercept + slope <x, x'>, has rank dimension + 1 at most: give noise > 0 "
        f"(from about {1e-12 * largest:.1g} on), or work in weight space with `linear_model`, which also has the limit noise = 0.",
    )


def numerical_rank(eigenvalues: np.ndarray) -> int:
    """Eigenvalues above rounding."""
    return int(
        np.sum(
            eigenvalues > RANK_ROUNDING * len(eigenvalues) * max(float(np.max(eigenvalues)), 0.0)
        )
    )


def require_positive(name: str, eigenvalues: np.ndarray) -> None:
    """Refuses negative eigenvalues beyond rounding."""
    if eigenvalues[0] < -_ROUNDING * float(np.max(np.abs(eigenvalues))) * len(eigenvalues) ** 0.5:
        raise cannot_solve(name, eigenvalues, 0.0)
