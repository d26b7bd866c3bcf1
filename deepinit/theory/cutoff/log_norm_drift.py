"""Random walk of log|x_t| near zero: drift, variance, death probability, critical gain.

W_ij ~ N(0, v/N), derivatives l, r on the two sides of 0: independent increments

    (1/2) log(v X / N),    X = r^2 chi^2_K + l^2 chi^2_{N-K},    K ~ Binomial(N, 1/2).

Linear: E log X = psi(N/2) + log 2, Var = psi_1(N/2). ReLU: averages over K >= 1, P(X = 0) = 2^-N.
Drift and variance of wide layers: -1/(2N), 1/(2N) (linear, v = 1); -5/(4N), 5/(4N) (ReLU, v = 2).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from deepinit.core import validate
from deepinit.core.activations import linear
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real
from deepinit.theory.cutoff.validate import slopes_at_zero
from deepinit.theory.numerics.homogeneous_layers import LayerFactor, width_array
from deepinit.theory.numerics.layer_factors import factor_log_moments


class LogNormDrift(NamedTuple):
    """Increments of log|x_t| per layer: drift and variance given survival, natural logarithm.

    death_probability: P(x_t = 0 | x_{t-1} != 0).
    """

    drift: Float[Like, "*shape"]
    variance: Float[Like, "*shape"]
    death_probability: Float[Like, "*shape"]


def log_norm_drift(
    activation: ActivationLike,
    width: Real[Array, "*shape"] | Plain,
    weight_var: float,
    *,
    excess_kurtosis: float = 0.0,
    sphere: int | None = None,
) -> LogNormDrift:
    """Mean and variance per layer of log|x_t|, and P(x_t = 0), exact in the width.

    Square layers x_t = phi(W_t x_{t-1}), phi(0) = 0, no biases. Excess kurtosis k subtracts 3 m^2
    k / (4 N^2) from the drift and adds it to the variance, m = 1 (linear) or 2 (ReLU); first layer:
    `cutoff.norm_propagation`. ReLU: not monotone in N.

    Args:
        weight_var: variance times fan_in, > 0; the squared gain A^2.
        excess_kurtosis: E w^4 / (E w^2)^2 - 3 >= -2; uniform: -6/5.
        sphere: max(fan_in, width) of Haar-orthogonal matrices; None: independent entries.

    SpecError: phi(0) != 0, derivative 0 on both sides of 0, a sphere below a width. Valid for:
    Gaussian or Haar weights; independent symmetric ones with error O(1 / N^3). Positively
    homogeneous activations: absolute error 1e-13; others O(|x|). Reference: arXiv:2608.15914
    (linear).
    """
    left, right = slopes_at_zero(activation)
    variance = validate.positive("weight_var", weight_var, "He (ReLU) is weight_var=2.")
    sizes = width_array(width)
    remedy = "Write law.standardized_moment(4) - 3; uniform weights have -1.2."
    kurtosis = validate.real("excess_kurtosis", excess_kurtosis, -2.0, remedy=remedy)
    if sphere is not None:
        validate.integer("sphere", sphere, int(sizes.max()), "It is max(fan_in, width).")
    laws = {
        int(n): _increment(int(n), abs(left), abs(right), kurtosis, sphere)
        for n in np.unique(sizes)
    }
    drift, spread, death = (
        np.array([laws[int(n)][part] for n in sizes.ravel()]).reshape(sizes.shape)
        for part in range(3)
    )
    drift = drift + 0.5 * math.log(variance)
    if sizes.ndim == 0:
        return LogNormDrift(float(drift), float(spread), float(death))
    return LogNormDrift(drift, spread, death)


def critical_gain(
    width: Real[Array, "*shape"] | Plain, activation: ActivationLike = linear
) -> Float[Like, "*shape"]:
    """Gain A_c(N) without drift of log|x_t|: small signals die out below it.

    A_c(N) = sqrt(N/2) exp(-psi(N/2)/2) = 1 + 1/(2N) + O(1/N^2) for derivative 1 at 0; in general
    exp(-drift at weight_var = 1), for ReLU given survival. Errors: `log_norm_drift`. Valid for:
    Gaussian weights, no bias; exact. Reference: arXiv:2608.15914.
    """
    drift = log_norm_drift(activation, width, 1.0).drift
    return math.exp(-drift) if isinstance(drift, float) else np.exp(-drift)


def stationary_tail_exponent(gain: float, width: int) -> float:
    """Exponent beta of the stationary law above the critical gain: P(|x| < s) ~ s^beta near 0.

    A^-beta (N/2)^(beta/2) Gamma((N - beta)/2) / Gamma(N/2) = 1, beta in (0, N), error 1e-12.
    SpecError: a gain A at or below `critical_gain(width)`. Valid for: Gaussian weights, no bias or
    rounding, bounded activations of derivative 1 at 0. Reference: arXiv:2608.15914.
    """
    from scipy.optimize import brentq

    n, a = validate.integer("width", width, 1), validate.positive("gain", gain)
    least, remedy = critical_gain(n), "Below it every signal dies out at 0."
    validate.require(a > least, f"gain={a:g} at width {n}", f"a gain above {least:.6g}", remedy)

    def log_moment(beta: float) -> float:
        gammas = float(gammaln(0.5 * (n - beta)) - gammaln(0.5 * n))
        return beta * (0.5 * math.log(0.5 * n) - math.log(a)) + gammas

    low, high = 0.5 * n, n * (1.0 - 1e-15)  # convex; decreasing from 0 at 0, infinite at n
    while log_moment(low) >= 0.0:
        low *= 0.5
    return float(brentq(log_moment, low, high, xtol=1e-13 * n, rtol=1e-14))


def fourth_moment_ratio(left: float, right: float) -> float:
    """m = 2 (l^4 + r^4) / (l^2 + r^2)^2: E phi(h)^4 / (E phi(h)^2)^2 = m E h^4, h symmetric."""
    return 2.0 * (left**4 + right**4) / (left**2 + right**2) ** 2


def _increment(
    n: int, left: float, right: float, kurtosis: float, sphere: int | None
) -> tuple[float, float, float]:
    """Mean and variance of the increment given X > 0, and P(X = 0)."""
    steep, flat = max(left, right), min(left, right)  # K and N - K have one law
    factor = LayerFactor(
        n, masked=flat != steep, slope=flat / steep if flat != steep else 0.0, sphere=sphere
    )
    mean, variance = factor_log_moments(factor)
    excess = 0.75 * fourth_moment_ratio(left, right) ** 2 * kurtosis / n**2
    drift = 0.5 * (mean - math.log(n)) + math.log(steep) - excess
    return drift, 0.25 * variance + excess, 0.5**n if factor.can_vanish else 0.0
