"""Multiplicity 1: exact gradient flow at leading order.

v = (1/n) sum_i y_i z_i, nu = |v|, s = sigma'(0), c_j = w_j.v/nu: a_j' = s nu c_j, c_j' = s nu a_j,
the rest of w_j is constant. Gaussian initialization, standard deviations beta_1 (a_j), beta_2
(w_j): c_j(t) has variance beta_2^2 cosh^2(s nu t) + beta_1^2 sinh^2(s nu t), the other D - 1
coordinates beta_2^2. The overlap S = sum_j a_j c_j has mean m (beta_1^2 + beta_2^2)
sinh(2 s nu t) / 2; the output is s S v.z / nu, the loss drop s S nu - s^2 S^2 q / 2, q = (1/n)
sum_i (v.z_i / nu)^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, special

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.theory.condensation.orientations import check_not_zero
from deepinit.theory.condensation.target_form import TargetForm, target_form
from deepinit.theory.condensation.validate import check_rows, nonzero


class LossDrop(NamedTuple):
    """First drop of the loss 1/(2n) sum_i (f - y)^2, multiplicity 1, by gradient flow.

    Attributes:
        time: of the mean overlap at leading order; for `alignment_law` and `relative_displacement`.
        mean_time, time_std: over initializations.
        overlap: S* = sum_j a_j c_j at that time.
        rate: |sigma'(0)| nu, growth rate of aligned weights.
    """

    time: float
    mean_time: float
    time_std: float
    overlap: float
    rate: float


def growth_rate(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    *,
    slope: float = 1.0,
    bias: bool = True,
) -> float:
    """Growth rate |s| nu of aligned weights, multiplicity 1.

    nu = |v|, v = (1/n) sum_i y_i z_i, s = sigma'(0) the slope; per time of gradient flow of 1/(2n)
    sum_i (f - y)^2. SpecError: v = 0, s = 0. Valid for: outputs small against y; sigma(0) = 0.
    Relative error O(|w.z|).
    """
    return _growth(_linear_form(x, y, slope, bias))[0]


def linear_flow(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    output: Real[Array, "m"] | Plain,
    weights: Real[Array, "m D"] | Plain,
    time: float,
    *,
    slope: float = 1.0,
    bias: bool = True,
) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m D"]]:
    """Output and input weights under gradient flow at leading order, multiplicity 1.

        a_j(t) = a_j cosh(s nu t) + c_j sinh(s nu t),    c_j = w_j.v/nu,
        c_j(t) = c_j cosh(s nu t) + a_j sinh(s nu t),    w_j(t) = w_j + (c_j(t) - c_j) v/nu.

    Neuron j turns to v/nu times the sign of c_j + sign(s) a_j. Output and weights: a_j and w_j at
    time 0, the bias last; other arguments, errors and range: `growth_rate`. Reference:
    arXiv:2105.11686 (direction); solution: module docstring.
    """
    form = _linear_form(x, y, slope, bias)
    a0, w0 = _neurons(output, weights, form.dimension)
    given, remedy = f"time of shape {np.shape(time)}", "Call once per time."
    validate.require(np.ndim(time) == 0, given, "one number", remedy)
    rate, direction = _growth(form)
    angle = rate * validate.not_negative("time", time)
    c0 = w0 @ direction
    cosh, sinh = math.cosh(angle), math.sinh(angle)
    return a0 * cosh + c0 * sinh, w0 + np.outer(c0 * (cosh - 1.0) + a0 * sinh, direction)


def linear_descent(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    output: Real[Array, "m"] | Plain,
    weights: Real[Array, "m D"] | Plain,
    num_steps: int,
    step_size: float,
    *,
    slope: float = 1.0,
    bias: bool = True,
) -> tuple[Float[np.ndarray, "m"], Float[np.ndarray, "m D"]]:
    """`linear_flow` by gradient descent of any step size.

    e^{+-s nu t} becomes (1 +- step_size s nu)^num_steps.
    """
    form = _linear_form(x, y, slope, bias)
    a0, w0 = _neurons(output, weights, form.dimension)
    validate.integer("num_steps", num_steps, 0, "0 returns the initial weights.")
    step = validate.positive("step_size", step_size, "Try 0.02 / (s nu).")
    rate, direction = _growth(form)
    c0 = w0 @ direction
    growing = 0.5 * (a0 + c0) * (1.0 + step * rate) ** num_steps
    shrinking = 0.5 * (a0 - c0) * (1.0 - step * rate) ** num_steps
    return growing + shrinking, w0 + np.outer(growing - shrinking - c0, direction)


def loss_drop_time(
    x: Real[Array, "n *d"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    *,
    width: int,
    output_std: float,
    weight_std: float,
    slope: float = 1.0,
    loss_drop: float = 1e-3,
    bias: bool = True,
) -> LossDrop:
    """Time at which the loss has dropped by a fraction, multiplicity 1, Gaussian initialization.

        t = arsinh(|S*| / S_0) / (2 |s| nu),    S_0 = m (beta_1^2 + beta_2^2) / 2,
        |s S*| nu - s^2 S*^2 q / 2 = delta R(0)  (smaller root),    R(0) = 1/(2n) sum_i y_i^2.

    mean_time adds two corrections. The fit slows the growth: |S| = S_0 sinh(2 x) takes int_0^x
    dx' / (|s| nu (1 - |s| q S_0 sinh(2 x') / nu)). The overlap of one initialization is
    (beta_1^2 + beta_2^2) chi^2_m e^{2 s nu t} / 4, a delay of mean
    (ln(m/2) - psi(m/2)) / (2 |s| nu) and variance psi_1(m/2) / (2 |s| nu)^2 (digamma, trigamma).

    Args:
        width: neurons m.
        output_std, weight_std: beta_1, beta_2 > 0; weight_std for biases too.
        loss_drop: fraction delta of the initial loss, in (0, 1).

    Other arguments and errors: `growth_rate`; SpecError: a loss_drop out of reach of the first
    direction. Valid for: sigma(0) = 0, small loss_drop. Errors: O((s S* q / nu)^2) / (s nu) from
    weights that leave v; O((w.z)^2) / (s nu) for odd sigma, (w.z)^2 of order S* |z|^2 / m.
    mean_time and time_std: e^{2 rate t} large.
    """
    form = _linear_form(x, y, slope, bias)
    validate.integer("width", width, 1, "It counts the neurons.")
    remedy = "Standard deviations, not variances; 1e-5 is tiny enough."
    first = validate.positive("output_std", output_std, remedy)
    second = validate.positive("weight_std", weight_std, remedy)
    fraction = validate.fraction("loss_drop", loss_drop, "1e-3 is a good criterion.")
    speed = abs(float(slope))
    targets = form.weights * len(form.rows) / float(slope)
    rate, direction = _growth(form)
    nu = rate / speed
    q = float(np.mean((form.rows @ direction) ** 2))
    drop = fraction * 0.5 * float(np.mean(targets**2))
    discriminant = nu * nu - 2.0 * q * drop
    if discriminant < 0.0:
        most = nu * nu / (2.0 * q * drop) * fraction
        allowed = f"at most {most:.3g}, the reach of a linear output along v"
        raise SpecError(f"loss_drop={loss_drop!r}", allowed, "Ask for a smaller one.")
    overlap = 2.0 * drop / (nu + math.sqrt(discriminant)) / speed
    fitted = speed * overlap * q / nu  # below 1, since the discriminant is not negative
    ratio = 2.0 * overlap / (width * (first**2 + second**2))
    angle = 0.5 * math.asinh(ratio)

    def slowness(rest: float) -> float:
        return 1.0 / (1.0 - fitted * math.sinh(2.0 * (angle - rest)) / ratio)

    slowed, _ = integrate.quad(slowness, 0.0, angle)
    time = angle / rate
    delay = math.log(0.5 * width) - float(special.digamma(0.5 * width))
    mean = slowed / rate + delay / (2.0 * rate)
    std = math.sqrt(float(special.polygamma(1, 0.5 * width))) / (2.0 * rate)
    return LossDrop(time, mean, std, math.copysign(overlap, float(slope)), rate)


def _linear_form(x: Any, y: Any, slope: Any, bias: bool) -> TargetForm:
    nonzero("slope", slope, "With sigma'(0) = 0 the multiplicity is not 1.")
    form = target_form(x, y, 1, float(slope), bias=bias)
    check_not_zero(form)
    return form


def _growth(form: TargetForm) -> tuple[float, np.ndarray]:
    """|s| nu, and s v / (|s| nu) [D]."""
    velocity = form.gradient(np.ones(form.dimension))
    rate = float(np.linalg.norm(velocity))
    return rate, velocity / rate


def _neurons(output: Any, weights: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    w0 = check_rows("weights", weights)
    a0 = check_rows("output", output)[:, 0]
    if np.ndim(output) != 1 or w0.shape != (len(a0), dimension):
        given = f"output of shape {np.shape(output)} and weights of shape {w0.shape}"
        remedy = "One row of input weights per neuron, its bias last."
        raise SpecError(given, f"shapes [m] and [m, {dimension}]", remedy)
    return a0, w0
