"""Rates and growth factors of infinitely deep residual networks.

Symbols: package docstring. Finite at weight_var = 0: r (E - 1) = a^2 bias_var T (e^C - 1) / C,
r C E = a^2 bias_var T E.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.explosions import growth_order as growth_order
from deepinit.core.explosions import may_explode as may_explode
from deepinit.core.taylor import Taylor as DiffusionConstants
from deepinit.core.taylor import taylor_at_zero as diffusion_constants
from deepinit.core.typing import ActivationLike, Array, Float, Numbers, Plain, Real

SMALLEST, LARGEST = 1e-75, 1e75  # third powers, and ratios of two numbers, stay in float64


class Growth(NamedTuple):
    """Rates kappa = a^2 weight_var and a^2 bias_var, and their integrals over the horizon T."""

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
        """(E - 1) / kappa; T at kappa = 0."""
        return self.horizon * _exp_ratio(self.exponent)

    @property
    def bias_gain(self) -> float:
        """r (E - 1)."""
        return self.bias_rate * self.mean_time

    @property
    def bias_weight_kernel(self) -> float:
        """r (C E - (E - 1)): share of the biases in the tangent kernel of the weights."""
        return self.bias_rate * self.horizon * _exp_excess(self.exponent)


def _exp_ratio(c: float) -> float:
    """(e^c - 1) / c."""
    return math.expm1(c) / c if c else 1.0


def _exp_excess(c: float) -> float:
    """e^c - (e^c - 1) / c, without cancellation."""
    if c < 0.1:
        return math.fsum(c**k * k / math.factorial(k + 1) for k in range(1, 15))
    return math.exp(c) - _exp_ratio(c)


def growth_of(slope: float, weight_var: float, bias_var: float, horizon: float) -> Growth:
    """Rates of a linear diffusion with slope a; SpecError for growth beyond float64."""
    weight, bias, time = checked_variances(weight_var, bias_var, horizon)
    growth = Growth(slope**2 * weight, slope**2 * bias, time)
    check_exponent(growth.exponent)
    return growth


def without_curvature(activation: ActivationLike) -> DiffusionConstants:
    """Constants of an activation; SpecError for b != 0."""
    constants = diffusion_constants(activation)
    if constants.curvature != 0.0:
        given = f"{as_activation(activation)!r} with phi''(0) = {constants.curvature:.6g}"
        allowed = "activations with phi''(0) = 0 (tanh, erf, sin, linear), which cannot explode"
        raise SpecError(given, allowed, "Take `double_limit` for the limit of large width.")
    return constants


# Checks


def checked_variances(
    weight_var: float, bias_var: float, horizon: float
) -> tuple[float, float, float]:
    """Three bounded numbers >= 0."""
    return (
        bounded("weight_var", weight_var, "A block's weights have variance weight_var dt / width."),
        bounded("bias_var", bias_var, "A block's biases have variance bias_var * dt; 0 for none."),
        bounded("horizon", horizon, "The horizon is depth * dt; 1 is usual."),
    )


def bounded(name: str, given: float, remedy: str = "") -> float:
    """0, or a number from 1e-75 to 1e75."""
    number = validate.not_negative(name, given, remedy)
    if number != 0.0 and not SMALLEST <= number <= LARGEST:
        allowed = f"0, or a number from {SMALLEST:g} to {LARGEST:g}"
        raise SpecError(f"{name}={given!r}", allowed, remedy)
    return number


def check_exponent(exponent: float, most: float = 100.0) -> None:
    """Raise SpecError for growth beyond e^most; 100: sixth powers stay in float64."""
    if not exponent <= most:
        given = f"a growth exponent of {exponent:.4g} (slope^2 * weight_var * horizon * order)"
        raise SpecError(given, f"at most {most:g}", "Shorten the horizon or scale weights down.")


def bounded_array(
    name: str, given: Numbers, shape: tuple[int, ...] | None = None
) -> Float[np.ndarray, "..."]:
    """Float64, absolute values up to 1e75."""
    values = validate.array(name, given, shape)
    largest = np.max(np.abs(values), initial=0.0)
    if largest > LARGEST:
        allowed = f"numbers up to {LARGEST:g}, whose powers stay in float64"
        raise SpecError(f"{name} with numbers up to {largest:.3g}", allowed, "Scale them down.")
    return values


def gram_matrix(
    name: str, given: Real[Array, "N N"] | Plain, size: int | None = None
) -> Float[np.ndarray, "N N"]:
    """Symmetric positive semidefinite matrix; a number counts as [1, 1]."""
    matrix = bounded_array(name, given)
    matrix = matrix.reshape(1, 1) if matrix.ndim == 0 else matrix
    return validate.covariance(name, matrix, size, "For rows x [N, D] of inputs: x @ x.T / D.")


def vector(name: str, given: Real[Array, "N"] | Plain, size: int) -> Float[np.ndarray, "N"]:
    """Vector of this size; a number counts as [1]."""
    return bounded_array(name, np.atleast_1d(bounded_array(name, given)), (size,))
