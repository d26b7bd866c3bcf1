"""Checks of kernels, targets and variances."""

from collections.abc import Sequence

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Numbers, Plain, Real

SMALLEST, LARGEST = 1e-75, 1e75  # products and ratios of two squares stay in float64
_ROUNDING = 1e-8  # of an eigenvalue, relative to the largest: neural-tangents keeps such digits
RANK_ROUNDING = 1e-13  # of an eigenvalue, relative to the number of rows times the largest one


def bounded(
    name: str, given: Numbers, shape: Sequence[int | str] | None = None, remedy: str = ""
) -> np.ndarray:
    """`core.validate.array`, for numbers up to 1e75."""
    numbers = validate.array(name, given, shape, remedy)
    largest = float(np.max(np.abs(numbers), initial=0.0))
    if largest > LARGEST:
        allowed = f"numbers up to {LARGEST:g}, whose squares stay in float64"
        raise SpecError(f"{name} with numbers up to {largest:.3g}", allowed, "Rescale it.")
    return numbers


def kernel(name: str, given: Real[Array, "n n"] | Plain) -> Float[np.ndarray, "n n"]:
    """[n, n] float64, symmetric."""
    remedy = "Rows and columns are the same inputs in the same order; else it is a cross kernel."
    return validate.symmetric(name, bounded(name, given), remedy=remedy)


def cross_kernel(
    name: str, given: Real[Array, "m n"] | Plain, num_train: int, num_test: int | None = None
) -> Float[np.ndarray, "m n"]:
    """[m, n] float64."""
    remedy = "Test inputs are rows, training inputs columns."
    return bounded(name, given, ["m" if num_test is None else num_test, num_train], remedy)


def rows(
    name: str, given: Real[Array, "num dimension"] | Plain, dimension: int | None = None
) -> Float[np.ndarray, "num dimension"]:
    """Inputs [num, dimension] float64."""
    shape = ["num", "dimension" if dimension is None else dimension]
    return bounded(name, given, shape, "One input a row; flatten images.")


def targets(
    given: Real[Array, "n *outputs"] | Plain, num: int
) -> tuple[Float[np.ndarray, "n outputs"], bool]:
    """Targets as [n, outputs] float64, and whether they came as [n].

    Raises SpecError: classes, wrong shape, not finite.
    """
    values, raw = bounded("targets", given), np.asarray(given)
    if raw.dtype.kind in "iub" and np.unique(raw).size > 2:
        classes = f"integer targets with {np.unique(raw).size} values, which look like classes"
        remedy = "One-hot rows: np.eye(10)[labels]; for numbers: targets.astype(float)."
        raise SpecError(classes, "numbers [n] or [n, outputs], as floats", remedy)
    if values.ndim not in (1, 2) or len(values) != num or not values.size:
        shape = f"targets of shape {values.shape} for {num} training inputs"
        raise SpecError(shape, f"[{num}] or [{num}, outputs]", "One row for each training input.")
    return values.reshape(num, -1), values.ndim == 1


def variance(name: str, given: float) -> float:
    """0, or a number from 1e-75 to 1e75."""
    number = validate.real(name, given, 0.0, LARGEST, "Square a standard deviation first.")
    return positive(name, number) if number else 0.0


def positive(name: str, given: float) -> float:
    """A number from 1e-75 to 1e75."""
    return validate.real(name, given, SMALLEST, LARGEST, "0 would switch it off.")


def positive_semidefinite(name: str, eigenvalues: Float[np.ndarray, "n"]) -> None:
    """Refuse negative eigenvalues (ascending) beyond rounding."""
    if eigenvalues[0] < -_ROUNDING * float(np.max(np.abs(eigenvalues))) * len(eigenvalues) ** 0.5:
        raise SpecError(
            f"{name} with the eigenvalue {eigenvalues[0]:.3g} (largest {eigenvalues[-1]:.3g})",
            "a positive semidefinite matrix",
            "Check how its blocks were assembled.",
        )


def singular_error(name: str, eigenvalues: Float[np.ndarray, "n"], noise: float) -> SpecError:
    """Error for kernel + noise (eigenvalues of the kernel, ascending) without Cholesky factor."""
    try:
        positive_semidefinite(name, eigenvalues)
    except SpecError as error:
        return error
    num, rank = len(eigenvalues), numerical_rank(eigenvalues)
    largest = float(np.max(np.abs(eigenvalues)))
    return SpecError(
        f"{name} [{num}, {num}] of numerical rank {rank} with noise {noise:g}",
        "a kernel of full rank, or noise well above its rounding",
        "An affine kernel, intercept + slope <x, x'>, has rank dimension + 1 at most: "
        f"give noise > 0 (from about {1e-12 * largest:.1g} on), or use `linear_model`.",
    )


def numerical_rank(eigenvalues: Float[np.ndarray, "n"]) -> int:
    """Eigenvalues above rounding."""
    least = RANK_ROUNDING * len(eigenvalues) * max(float(np.max(eigenvalues)), 0.0)
    return int(np.sum(eigenvalues > least))
