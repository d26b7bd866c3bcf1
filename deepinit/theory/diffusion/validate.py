"""What the theory of infinitely deep residual networks accepts, and the numbers that all its
formulas share.

Blocks x + phi(dW psi(x) + db) with dW_ij ~ N(0, weight_var dt / D), db_i ~ N(0, bias_var dt), dt =
horizon / depth. With a = phi'(0): kappa = a^2 weight_var, C = kappa T, E = e^C, r = bias_var /
weight_var. The combinations that occur stay finite at weight_var = 0:

    r (E - 1) = a^2 bias_var T (e^C - 1) / C,       r C E = a^2 bias_var T E.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.cutoff.validate import check_not_negative

SMALLEST, LARGEST = 1e-75, 1e75  # third powers, and ratios of two numbers, stay in float64
_ROUNDING = 1e-9  # relative, for symmetry and positivity of given matrices


class Growth(NamedTuple):
    """Rates of the second moments and what they come to over the horizon.

    Attributes:
        rate: kappa = a^2 weight_var.
        bias_rate: a^2 bias_var.
        horizon: T.
    """

    rate: float
    bias_rate: float
    horizon: float

    @property
    def exponent(self) -> float:
        """C = kappa T."""
        return self.rate * self.horizon

    @property
    def factor(self) -> float:
        """E = e^C."""
        return math.exp(self.exponent)

    @property
    def mean_time(self) -> float:
        """(E - 1) / kappa, the integral of e^(kappa t); T at kappa = 0."""
        return self.horizon * exp_ratio(self.exponent)

    @property
    def bias_gain(self) -> float:
        """r (E - 1)."""
        return self.bias_rate * self.mean_time

    @property
    def bias_weight_kernel(self) -> float:
        """r (C E - (E - 1)): what the biases contribute to the tangent kernel of the weights."""
        return self.bias_rate * self.horizon * exp_excess(self.exponent)


def exp_ratio(c: float) -> float:
    """(e^c - 1) / c."""
    return math.expm1(c) / c if c else 1.0


def exp_excess(c: float) -> float:
    """e^c - (e^c - 1) / c, without cancellation for small c."""
    if c < 0.1:
        return math.fsum(c**k * k / math.factorial(k + 1) for k in range(1, 15))
    return math.exp(c) - exp_ratio(c)


def check_variances(weight_var: Any, bias_var: Any, horizon: Any) -> tuple[float, float, float]:
    """Three numbers >= 0."""
    return (
        check_size(
            "weight_var", weight_var, "A block's weights have variance weight_var * dt / width."
        ),
        check_size(
            "bias_var", bias_var, "A block's biases have variance bias_var * dt; 0 for none."
        ),
        check_horizon(horizon),
    )


def check_horizon(horizon: Any) -> float:
    """T, a number >= 0."""
    return check_size("horizon", horizon, "The horizon is depth * dt; 1 is usual.")


def check_size(name: str, given: Any, remedy: str) -> float:
    """0, or a number from 1e-75 to 1e75."""
    number = check_not_negative(name, given, remedy)
    if number != 0.0 and not SMALLEST <= number <= LARGEST:
        raise SpecError(
            f"{name}={given!r}", f"0, or a number from {SMALLEST:g} to {LARGEST:g}", remedy
        )
    return number


def growth_of(slope: float, weight_var: Any, bias_var: Any, horizon: Any) -> Growth:
    """The rates of a linear diffusion with slope a.

    Raises:
        SpecError: a variance or horizon that is not a finite number >= 0; growth beyond float64.
    """
    weight, bias, time = check_variances(weight_var, bias_var, horizon)
    growth = Growth(slope**2 * weight, slope**2 * bias, time)
    check_exponent(growth.exponent)
    return growth


def check_exponent(exponent: float, most: float = 100.0) -> None:
    """Refuse growth beyond e^most: by default what leaves room for sixth powers (second moments at
    width 1) in float64."""
    if not exponent <= most:
        raise SpecError(
            f"a growth exponent of {exponent:.4g} over the horizon",
            f"at most {most:g} (slope^2 * weight_var * horizon, times the order of a moment or the filter's size)",
            "Moments beyond that leave float64; shorten the horizon or scale the weights down.",
        )


def check_gram(name: str, given: Any, *, size: int | None = None) -> np.ndarray:
    """[N, N] float64, symmetric and positive semidefinite; a number counts as [1, 1].

    Args:
        name: for the message.
        given: the matrix.
        size: N if it is known.
    """
    matrix = real_array(name, given)
    matrix = matrix.reshape(1, 1) if matrix.ndim == 0 else matrix
    if (
        matrix.ndim != 2
        or matrix.shape[0] != matrix.shape[1]
        or not matrix.size
        or size not in (None, len(matrix))
    ):
        raise SpecError(
            f"{name} of shape {matrix.shape}",
            "a square matrix [N, N]" + (f" with N = {size}" if size else ""),
            "For rows x [N, D] of inputs write x @ x.T / D.",
        )
    scale = float(np.max(np.abs(matrix)))
    symmetric = np.allclose(matrix, matrix.T, rtol=0.0, atol=_ROUNDING * scale)
    if not symmetric or np.linalg.eigvalsh(matrix)[0] < -_ROUNDING * scale * len(matrix):
        raise SpecError(
            f"{name}={np.array2string(matrix, threshold=9, precision=6)}",
            "a symmetric positive semidefinite matrix of inner products",
            "For rows x [N, D] of inputs write x @ x.T / D.",
        )
    return 0.5 * (matrix + matrix.T)


def check_vector(name: str, given: Any, size: int) -> np.ndarray:
    """[size] finite float64; a number counts as [1]."""
    vector = np.atleast_1d(real_array(name, given))
    if vector.shape != (size,):
        raise SpecError(
            f"{name} of shape {vector.shape}", f"shape ({size},)", "One number for each input."
        )
    return vector


def check_matrix(name: str, given: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Finite float64 of this shape."""
    matrix = real_array(name, given)
    if matrix.shape != shape:
        raise SpecError(
            f"{name} of shape {matrix.shape}", f"shape {shape}", "Check widths and inputs."
        )
    return matrix


def real_array(name: str, given: Any) -> np.ndarray:
    """Finite float64, of any shape."""
    array = validate.real_numbers(given)
    if array is None or not np.isfinite(array).all():
        raise SpecError(
            f"{name}={given!r}", "finite real numbers", "Convert it to an array of floats."
        )
    if np.max(np.abs(array), initial=0.0) > LARGEST:
        allowed = f"numbers up to {LARGEST:g}, whose powers stay in float64"
        raise SpecError(
            f"{name} with numbers up to {np.max(np.abs(array)):.3g}", allowed, "Scale them down."
        )
    return array
