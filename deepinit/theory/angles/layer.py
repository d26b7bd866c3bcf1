"""Mean and variance of ln sin^2 of the angle of two inputs after one layer.

Coefficients of 1/n: `angles.pair_cumulants`. At small angles c2 = -8 and d2 = 32; the paper's form
has -100 and -80.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation, relu
from deepinit.core.array_api import array_namespace, as_floats, with_derivative_of
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Like, Numbers, Plain, Real
from deepinit.theory.angles import pair_cumulants
from deepinit.theory.angles.relu import relu_layer
from deepinit.theory.angles.small_angle import (
    check_concrete_width,
    check_width,
    small_angle_log_sin2_moments,
)

FORMS = ("paper", "first_order", "second_order", "hybrid", "tapered")
_RELU_ONLY = ("paper", "hybrid", "tapered")


class LayerCoefficients(NamedTuple):
    """Coefficients at given angles; `ratio_t`, `ratio_u`, `j22`: ReLU only."""

    log_mean: Any
    c1: Any
    d1: Any
    c2: Any
    d2: Any
    ratio_t: Any = None
    ratio_u: Any = None
    j22: Any = None


def log_sin2_mean(
    theta: Numbers,
    width: Numbers,
    form: str = "second_order",
    *,
    activation: ActivationLike = relu,
    variances: tuple[float, float] = (1.0, 1.0),
) -> Float[Like, "..."]:
    """E ln sin^2(theta') of the angle theta' after one layer.

        first_order    ln e + c1/n,    ln e the value at infinite width
        second_order   ln e + c1/n + c2/n^2
        hybrid         ln e + E0(n) + (c1 + 2)/n + (c2 + 8)/n^2
        tapered        second_order + (E0(n) + 2/n + 8/n^2) c2/(-8)
        paper          ln((n-1) e/D) + 4n (J_22+1)/D^2 - 4n T/((n-1)^2 e^2),  D = 4 J_22 - 1 + n

    E0: `small_angle_log_sin2_moments`; J_22, T: `angles.relu`. Paper, hybrid and tapered are for
    ReLU only. Best for ReLU: tapered; else second_order.

    Conditional on images neither zero nor collinear. -inf at 0. ReLU: 0 at pi except hybrid. Even
    and odd activations: inaccurate within roundings of pi. NumPy float64, or JAX in theta's dtype;
    not positively homogeneous: host float64, under jit and vmap but not grad.

    Args:
        theta: angle in [0, pi] of the preactivations at infinite width
            (without bias: of the inputs).
        width: of the layer produced, >= 1; paper: >= 2; hybrid, tapered: >= 2, concrete.
        variances: of the preactivations; no effect if positively homogeneous.

    SpecError: a form not available for the activation, a traced width with hybrid or tapered. Valid
    for: independent Gaussian weights. Error O(n^-2) for paper and first_order, else O(n^-3); hybrid
    and tapered are exact in n as theta -> 0; hybrid is worse than second_order above theta = 1/2.
    Reference: arXiv:2302.09712v3 (paper).
    """
    return mean_at_width(_prepared(theta, width, form, activation, variances), width, form)


def log_sin2_variance(
    theta: Numbers,
    width: Numbers,
    form: str = "second_order",
    *,
    activation: ActivationLike = relu,
    variances: tuple[float, float] = (1.0, 1.0),
) -> Float[Like, "..."]:
    """Var ln sin^2(theta') of the angle theta' after one layer.

        first_order    d1/n
        second_order   d1/n + d2/n^2
        hybrid         V0(n) + (d1 - 8)/n + (d2 - 32)/n^2
        tapered        second_order + (V0(n) - 8/n - 32/n^2) d2/32
        paper          8n (J_22+1)/D^2 + 8n T/((n-1)^2 e^2) - 16n U/(D (n-1) e),  D = 4 J_22 - 1 + n

    V0: `small_angle_log_sin2_moments`. At theta = 0 the limit. ReLU: 0 at pi except hybrid.
    Arguments, errors, range and reference: `log_sin2_mean`.
    """
    return variance_at_width(_prepared(theta, width, form, activation, variances), width, form)


def rho(width: Real[Array, "*shape"] | Plain) -> Float[Like, "*shape"]:
    """The paper's drift ln((n+5)/(n-1)) - 10n/(n+5)^2 + 6n/(n-1)^2 = 2/n + 100/n^2 + ...

    Decrease of ln sin^2 per ReLU layer of width n >= 2 as theta -> 0, error O(n^-2). The true drift
    is -E0(n) = 2/n + 8/n^2 + ... (`small_angle_log_sin2_moments`). Reference: arXiv:2302.09712v3,
    Approximation 1.
    """
    check_width(width, 2, "rho")
    xp = array_namespace(width)
    (n,) = as_floats(xp, width)
    return xp.log1p(6.0 / (n - 1)) - 10.0 * n / (n + 5) ** 2 + 6.0 * n / (n - 1) ** 2


def layer_coefficients(
    theta: Float[Like, "*shape"], form: str, activation: Activation, variances: tuple[float, float]
) -> LayerCoefficients:
    """Coefficients of a form."""
    check_form(form, activation)
    if not is_relu(activation):
        return LayerCoefficients(*pair_cumulants.coefficients(theta, activation, variances))
    log_mean, c1, d1, *ratios = relu_layer(theta)  # keeps the digits of d1 as it vanishes at pi
    c2, d2 = None, None
    if form in ("second_order", "hybrid", "tapered"):
        *_, c2, d2 = pair_cumulants.coefficients(theta, relu)
    return LayerCoefficients(log_mean, c1, d1, c2, d2, *ratios)


def mean_at_width(at: LayerCoefficients, width: Numbers, form: str) -> Float[Like, "..."]:
    """Mean from the coefficients."""
    xp = array_namespace(at.log_mean, width)
    n = xp.asarray(width, dtype=at.log_mean.dtype)
    if form == "paper":
        total = 4 * at.j22 - 1 + n
        mean = at.log_mean + xp.log1p(-4 * at.j22 / total)  # ln((n - 1) / D)
        return mean + 4 * n * ((at.j22 + 1) / total**2 - at.ratio_t / (n - 1) ** 2)
    mean = at.log_mean + at.c1 / n
    if form == "first_order":
        return mean
    mean = mean + at.c2 / n**2
    if form in ("hybrid", "tapered"):
        beyond, _ = _beyond_second_order(width)
        mean = mean + xp.asarray(beyond, dtype=n.dtype) * (at.c2 / -8 if form == "tapered" else 1)
    return mean


def variance_at_width(at: LayerCoefficients, width: Numbers, form: str) -> Float[Like, "..."]:
    """Variance from the coefficients, cut at 0."""
    xp = array_namespace(at.log_mean, width)
    n = xp.asarray(width, dtype=at.log_mean.dtype)
    if form == "paper":
        total = 4 * at.j22 - 1 + n
        norms, cross = (at.j22 + 1) / total**2, at.ratio_u / (total * (n - 1))
        variance = 8 * n * (norms + at.ratio_t / (n - 1) ** 2 - 2 * cross)
    else:
        variance = at.d1 / n
    if form in ("second_order", "hybrid", "tapered"):
        variance = variance + at.d2 / n**2
    if form in ("hybrid", "tapered"):
        _, beyond = _beyond_second_order(width)
        taper = at.d2 / 32 if form == "tapered" else 1
        variance = variance + xp.asarray(beyond, dtype=n.dtype) * taper
    return xp.maximum(variance, 0.0)


def is_relu(activation: Activation) -> bool:
    """True for ReLU up to a factor and a reflection."""
    return activation.slopes is not None and sum(slope != 0.0 for slope in activation.slopes) == 1


def check_form(form: str, activation: Activation) -> None:
    """Refuse a form not available for the activation."""
    remedy = "tapered is the most accurate for ReLU; second_order for any activation."
    validate.choice("form", form, FORMS, remedy)
    if form in _RELU_ONLY and not is_relu(activation):
        given, remedy = f"form={form!r} with {activation!r}", "Take first_order or second_order."
        raise SpecError(given, f"form {form!r} with ReLU, for which it is derived", remedy)


def _prepared(
    theta: Any, width: Any, form: str, activation: Any, variances: tuple[float, float]
) -> LayerCoefficients:
    activation = as_activation(activation)
    check_form(form, activation)
    check_width(width, 2 if form in _RELU_ONLY else 1, f"form {form!r}")
    if form in ("hybrid", "tapered"):
        check_concrete_width(width, f"form {form!r}")
    xp = array_namespace(theta, width)
    (theta,) = as_floats(xp, theta)
    validate.angle(theta)
    theta = with_derivative_of(theta, xp.minimum(theta, math.pi))  # pi in float32 is above pi
    return layer_coefficients(theta, form, activation, variances)


def _beyond_second_order(width: Any) -> tuple[np.ndarray, np.ndarray]:
    """E0(n) + 2/n + 8/n^2, V0(n) - 8/n - 32/n^2."""
    n = np.asarray(width, dtype=np.float64)
    moments = small_angle_log_sin2_moments(n)
    return moments.mean + 2 / n + 8 / n**2, moments.variance - 8 / n - 32 / n**2
