"""Fraction of neurons aligned by a given time: multiplicity 1, Gaussian initialization.

The component along v has variance beta_2^2 A^2 + beta_1^2 B^2, the others beta_2^2
(`condensation.linear_regime`): A, B = cosh, sinh(rate t); gradient descent of step eta, x = eta
rate, k = t / eta: ((1 + x)^k +- (1 - x)^k) / 2.
"""

from typing import Any

import numpy as np
from scipy import stats

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Numbers, Plain, Real
from deepinit.theory.condensation.validate import check_times


def alignment_law(
    tau: Numbers,
    time: Numbers,
    *,
    rate: float,
    dimension: int,
    output_std: float = 1.0,
    weight_std: float = 1.0,
    step_size: float | None = None,
) -> Float[Like, "..."]:
    """P(|cos| > tau) of a neuron's angle with +-v, multiplicity 1.

    F_{D-1,1}(k / (D-1)), k = (1/tau^2 - 1) (A^2 + B^2 beta_1^2/beta_2^2), F the Fisher distribution
    function; A, B: module docstring. 1 - P falls like e^{-rate t}.

    Args:
        tau: in (0, 1); broadcasts against time.
        rate: |sigma'(0)| |v|, from `loss_drop_time`.
        dimension: D >= 2, input weights of a neuron with its bias.
        output_std, weight_std: beta_1, beta_2 > 0; only the ratio matters.
        step_size: of gradient descent (time: steps times it); None: gradient flow.

    Valid for: outputs small against y, sigma(0) = 0; any width and scale.
    """
    ratio = _variance_ratio(rate, dimension, output_std, weight_std)
    cosine = validate.array("tau", tau, remedy="0.9 or 0.99.")
    if not ((cosine > 0.0) & (cosine < 1.0)).all():
        raise SpecError(f"tau={tau!r}", "cosines between 0 and 1, ends excluded", "Take 0.9.")
    above, rotated = _rotation(rate, check_times(time), step_size)
    growth = (1.0 + above) ** 2 + (ratio - 1.0) * rotated**2
    k = (1.0 / cosine - 1.0) * (1.0 / cosine + 1.0) * growth
    return stats.f.cdf(k / (dimension - 1), dimension - 1, 1)


def condensation_time(
    tau: float,
    fraction: float,
    *,
    rate: float,
    dimension: int,
    output_std: float = 1.0,
    weight_std: float = 1.0,
) -> float:
    """Time at which a fraction of neurons has |cos| > tau: inverse of `alignment_law`.

        rate t = arsinh sqrt((g - 1) / (1 + beta_1^2/beta_2^2)),    0 if g < 1,
        g = (D-1) F_{D-1,1}^{-1}(fraction) / (1/tau^2 - 1).

    Independent of the scale of initialization; `loss_drop_time` grows like ln(1/std). tau and
    fraction in (0, 1); other arguments and range: `alignment_law`.
    """
    ratio = _variance_ratio(rate, dimension, output_std, weight_std)
    cosine = validate.fraction("tau", tau, "0.9 or 0.99.")
    share = validate.fraction("fraction", fraction, "A half is the median neuron.")
    needed = (dimension - 1) * stats.f.ppf(share, dimension - 1, 1) / (1.0 / cosine**2 - 1.0)
    return float(np.arcsinh(np.sqrt(max(needed - 1.0, 0.0) / ratio)) / float(rate))


def relative_displacement(
    time: Real[Array, "*shape"] | Plain,
    *,
    rate: float,
    dimension: int,
    output_std: float = 1.0,
    weight_std: float = 1.0,
    step_size: float | None = None,
) -> Float[Like, "*shape"]:
    """Displacement of input weights: sqrt(E |W(t) - W(0)|^2 / E |W(0)|^2), multiplicity 1.

    sqrt(((A - 1)^2 + (beta_1/beta_2)^2 B^2) / D), A, B: module docstring; relative fluctuation
    O(1/sqrt(m)). Arguments and range: `alignment_law`. RD of arXiv:2007.07497.
    """
    ratio = _variance_ratio(rate, dimension, output_std, weight_std) - 1.0
    above, rotated = _rotation(rate, check_times(time), step_size)
    return np.sqrt((above**2 + ratio * rotated**2) / dimension)


def _rotation(
    rate: float, time: np.ndarray, step_size: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """A - 1 and B, without cancellation."""
    if step_size is None:
        moment = np.minimum(float(rate) * time, 300.0)
        return 2.0 * np.sinh(0.5 * moment) ** 2, np.sinh(moment)
    x = float(rate) * validate.positive("step_size", step_size, "Omit it for gradient flow.")
    steps = time / step_size
    up = np.expm1(np.minimum(steps * np.log1p(x), 300.0))
    down = np.expm1(steps * np.log1p(-x)) if x < 1.0 else (1.0 - x) ** np.round(steps) - 1.0
    return 0.5 * (up + down), 0.5 * (up - down)


def _variance_ratio(rate: Any, dimension: Any, output_std: Any, weight_std: Any) -> float:
    """1 + beta_1^2 / beta_2^2."""
    validate.positive("rate", rate, "It is |sigma'(0)| |v|; loss_drop_time returns it.")
    validate.integer("dimension", dimension, 2, "One input weight has no direction to turn.")
    remedy = "Standard deviations, not variances."
    output = validate.positive("output_std", output_std, remedy)
    return 1.0 + (output / validate.positive("weight_std", weight_std, remedy)) ** 2
