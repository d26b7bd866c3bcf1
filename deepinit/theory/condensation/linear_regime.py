"""Multiplicity 1: gradient flow at leading order is linear and solved exactly.

With v = (1/n) sum_i y_i z_i, nu = |v|, s = sigma'(0), c_j = w_j.v/nu:  a_j' = s nu c_j,  c_j' = s nu a_j,  the rest of w_j stays. So

    a_j(t) = a_j cosh(s nu t) + c_j sinh(s nu t),    c_j(t) = c_j cosh(s nu t) + a_j sinh(s nu t).

Gaussian initialization, a_j of standard deviation beta_1 and w_j of beta_2: c_j(t) is Gaussian of variance
beta_2^2 cosh^2 + beta_1^2 sinh^2, the other D - 1 coordinates keep beta_2^2, and (w_perp/c)^2 is Fisher distributed. The overlap
S = sum_j a_j c_j has mean m (beta_1^2 + beta_2^2) sinh(2 s nu t) / 2; the output is s S v.z / nu, so that the loss has dropped by

    s S nu - s^2 S^2 q / 2,    q = (1/n) sum_i (v.z_i / nu)^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, special

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.theory.condensation.orientations import check_not_zero
from deepinit.theory.condensation.target_form import TargetForm, target_form
from deepinit.theory.condensation.validate import (
    check_fraction,
    check_positive,
    check_real,
    check_rows,
    check_times,
)


class LossDrop(NamedTuple):
    """When the loss first drops, for multiplicity 1.

    Attributes:
        time: of the mean overlap at leading order, at which `alignment_law` and `relative_displacement` describe the network.
        mean_time: expected time of gradient flow.
        time_std: standard deviation of the time over initializations.
        overlap: S* = sum_j a_j c_j at that time, of the sign of sigma'(0).
        rate: |sigma'(0)| nu, the rate at which aligned weights grow.
    """

    time: float
    mean_time: float
    time_std: float
    overlap: float
    rate: float


def growth_rate(x: Any, y: Any, *, slope: float = 1.0, bias: bool = True) -> float:
    """|s| nu, nu = |v|, v = (1/n) sum_i y_i z_i: the rate at which aligned weights grow, multiplicity 1.

    Args:
        x: inputs [n, d], or [n] for d = 1.
        y: targets [n].
        slope: s = sigma'(0), not 0.
        bias: whether neurons have a bias.

    Returns:
        The rate, per time of gradient flow of the loss 1/(2n) sum_i (f - y)^2.

    Raises:
        SpecError: shapes that do not fit, v = 0, s = 0.

    Valid for: outputs small against y; sigma(0) = 0. Relative error O(|w.z|).

    Reference: module docstring.
    """
    return _growth(_linear_form(x, y, slope, bias))[0]


def linear_flow(
    x: Any, y: Any, output: Any, weights: Any, time: Any, *, slope: float = 1.0, bias: bool = True
):
    """Output and input weights under gradient flow at leading order, multiplicity 1: hyperbolic rotation of (a_j, w_j.v/nu).

    a_j(t) = a_j cosh(s nu t) + c_j sinh(s nu t), w_j(t) = w_j + (c_j(t) - c_j) v/nu, c_j = w_j.v/nu, v = (1/n) sum_i y_i z_i, nu = |v|.

    Args:
        x: inputs [n, d], or [n] for d = 1.
        y: targets [n].
        output: a_j at time 0, [m].
        weights: w_j at time 0, [m, D], the bias last.
        time: one time >= 0, for the loss 1/(2n) sum_i (f(x_i) - y_i)^2.
        slope: s = sigma'(0), not 0.
        bias: whether neurons have a bias.

    Returns:
        (a(t) [m], w(t) [m, D]). Neuron j turns to v/nu times the sign of c_j + sign(s) a_j at time 0.

    Raises:
        SpecError: shapes that do not fit, v = 0, s = 0, negative times.

    Valid for: outputs small against y; sigma(0) = 0. Relative error O(|w.z|).

    Reference: arXiv:2105.11686 (direction); solution: module docstring.
    """
    form = _linear_form(x, y, slope, bias)
    a0, w0 = _neurons(output, weights, form.dimension)
    moment = check_times(time)
    if moment.ndim:
        raise SpecError(f"time of shape {moment.shape}", "one number", "Call once per time.")
    rate, direction = _growth(form)
    c0 = w0 @ direction
    grown, rotated = math.cosh(rate * float(moment)), math.sinh(rate * float(moment))
    return a0 * grown + c0 * rotated, w0 + np.outer(c0 * (grown - 1.0) + a0 * rotated, direction)


def linear_descent(
    x: Any,
    y: Any,
    output: Any,
    weights: Any,
    num_steps: int,
    step_size: float,
    *,
    slope: float = 1.0,
    bias: bool = True,
):
    """As `linear_flow`, by plain gradient descent: e^{+-s nu t} becomes (1 +- step_size s nu)^num_steps.

    Args:
        x: inputs [n, d], or [n] for d = 1.
        y: targets [n].
        output: a_j at step 0, [m].
        weights: w_j at step 0, [m, D], the bias last.
        num_steps: steps of gradient descent, >= 0.
        step_size: > 0.
        slope: s = sigma'(0), not 0.
        bias: whether neurons have a bias.

    Returns:
        (a [m], w [m, D]) after the steps.

    Raises:
        SpecError: as `linear_flow`; a negative number of steps, a step size that is not positive.

    Valid for: as `linear_flow`; any step size.

    Reference: module docstring, with the eigenvalues 1 +- step_size s nu of one step.
    """
    form = _linear_form(x, y, slope, bias)
    a0, w0 = _neurons(output, weights, form.dimension)
    validate.integer("num_steps", num_steps, 0, "0 returns the initial weights.")
    step = check_positive("step_size", step_size, "A good one is 0.02 / (s nu).")
    rate, direction = _growth(form)
    c0 = w0 @ direction
    growing = 0.5 * (a0 + c0) * (1.0 + step * rate) ** num_steps
    shrinking = 0.5 * (a0 - c0) * (1.0 - step * rate) ** num_steps
    return growing + shrinking, w0 + np.outer(growing - shrinking - c0, direction)


def loss_drop_time(
    x: Any,
    y: Any,
    *,
    width: int,
    output_std: float,
    weight_std: float,
    slope: float = 1.0,
    loss_drop: float = 1e-3,
    bias: bool = True,
) -> LossDrop:
    """When the loss has dropped by a fraction of its initial value, multiplicity 1, Gaussian initialization.

        t = arsinh(|S*| / S_0) / (2 |s| nu),    S_0 = m (beta_1^2 + beta_2^2) / 2,    |s S*| nu - s^2 S*^2 q / 2 = delta R(0)  (smaller root),

    m = width, beta_1 = output_std, beta_2 = weight_std, s = slope, delta = loss_drop, nu = |v|, R(0) = 1/(2n) sum_i y_i^2. At tiny scale
    arsinh(z) = ln(2 z): t grows like ln(1/std) / (|s| nu). Two effects make the real time another one. The fit itself
    slows the growth, by the factor 1 - |s| S q / nu: to |S| = S_0 sinh(2 x) it takes int_0^x dx' / (|s| nu (1 - |s| q S_0 sinh(2 x') / nu)). And the
    overlap of one initialization is (beta_1^2 + beta_2^2) chi^2_m e^{2 s nu t} / 4, so that its time is later by (ln(m/2) - psi(m/2)) / (2 |s| nu) on
    average and has the variance psi_1(m/2) / (2 |s| nu)^2 (psi, psi_1: digamma and trigamma functions).

    Args:
        x: inputs [n, d], or [n] for d = 1.
        y: targets [n].
        width: neurons m, >= 1.
        output_std: standard deviation of the output weights, > 0.
        weight_std: standard deviation of the input weights and biases, > 0.
        slope: sigma'(0), not 0.
        loss_drop: fraction delta of the initial loss, in (0, 1).
        bias: whether neurons have a bias.

    Returns:
        `LossDrop(time, mean_time, time_std, overlap, rate)`, times of gradient flow of the loss 1/(2n) sum_i (f - y)^2.

    Raises:
        SpecError: bad data or scales; a loss_drop that the first direction alone cannot reach.

    Valid for: sigma(0) = 0; small loss_drop: weights that turn away from v while the fit along it proceeds are left out, an error of
        O((s S* q / nu)^2) / (s nu), and so is the next order of sigma, of O((w.z)^2) / (s nu) for odd sigma, (w.z)^2 of order S* |z|^2 / m. mean_time and time_std: scales so small that e^{2 rate t} is large.

    Reference: module docstring.
    """
    form = _linear_form(x, y, slope, bias)
    validate.integer("width", width, 1, "It counts the neurons.")
    first, second = _check_stds(output_std, weight_std)
    fraction = check_fraction("loss_drop", loss_drop, "1e-3 is a good criterion.")
    speed = abs(float(slope))
    targets = form.weights * len(form.rows) / float(slope)
    rate, direction = _growth(form)
    nu = rate / speed
    q = float(np.mean((form.rows @ direction) ** 2))
    drop = fraction * 0.5 * float(np.mean(targets**2))
    discriminant = nu * nu - 2.0 * q * drop
    if discriminant < 0.0:
        raise SpecError(
            f"loss_drop={loss_drop!r}",
            f"at most {nu * nu / (2.0 * q * drop) * fraction:.3g}, which a linear output along v can reach",
            "Ask for a smaller one.",
        )
    overlap = 2.0 * drop / (nu + math.sqrt(discriminant)) / speed
    fitted = speed * overlap * q / nu  # below 1, since the discriminant is not negative
    ratio = 2.0 * overlap / (width * (first**2 + second**2))
    angle = 0.5 * math.asinh(ratio)
    slowed, _ = integrate.quad(
        lambda rest: 1.0 / (1.0 - fitted * math.sinh(2.0 * (angle - rest)) / ratio), 0.0, angle
    )
    time = angle / rate
    mean = slowed / rate + (math.log(0.5 * width) - float(special.digamma(0.5 * width))) / (
        2.0 * rate
    )
    std = math.sqrt(float(special.polygamma(1, 0.5 * width))) / (2.0 * rate)
    return LossDrop(time, mean, std, math.copysign(overlap, float(slope)), rate)


def _linear_form(x: Any, y: Any, slope: Any, bias: bool) -> TargetForm:
    factor = check_real(
        "slope",
        slope,
        "a finite number, not 0",
        "It is sigma'(0); with sigma'(0) = 0 the multiplicity is not 1.",
    )
    if factor == 0.0:
        raise SpecError(
            "slope=0", "a finite number, not 0", "With sigma'(0) = 0 the multiplicity is not 1."
        )
    form = target_form(x, y, 1, factor, bias=bias)
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
        raise SpecError(
            f"output of shape {np.shape(output)} and weights of shape {w0.shape}",
            f"shapes [m] and [m, {dimension}]",
            "One row of input weights per neuron, its bias last.",
        )
    return a0, w0


def _check_stds(output_std: Any, weight_std: Any) -> tuple[float, float]:
    remedy = "Standard deviations, not variances; 1e-5 is tiny enough."
    return check_positive("output_std", output_std, remedy), check_positive(
        "weight_std", weight_std, remedy
    )
