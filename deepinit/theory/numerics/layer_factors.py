"""The law of one layer's factor of a squared length or volume, exact at every width.

Signs of preactivations are fair coins independent of their sizes (rows w_i and -w_i have one law);
K ~ Binomial(n, 1/2) units are on, symmetric biases change nothing. Gaussian weights, variance
v / fan_in, d-volume (d = 1: squared length):

    Vol^2 / Vol_before^2 = (v / fan_in)^d prod_{j<d} chi^2_{K-j}   (independent given K, 0 if K < d)

independently by layer. Linear: K = n. Leaky ReLU: `numerics.leaky`. Orthogonal weights: moments are
divided by those of chi^2_{N-j} / N, N = max(width, fan_in). Represented by the Mellin transform E
(Vol^2 / Vol_before^2)^s.
"""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.typing import Array, Float, Like, Plain, Real, Shaped
from deepinit.theory.numerics.gamma_functions import half_binomial, log_gamma_ratio
from deepinit.theory.numerics.homogeneous_layers import (
    LAWS,
    LayerFactor,
    checked_moment,
    checked_slope,
    width_array,
)
from deepinit.theory.numerics.leaky import angular_log_moments, log_angular_moment


@lru_cache(maxsize=4096)
def log_factor_moment(factor: LayerFactor, s: float) -> float:
    """ln E[factor^s; factor > 0], real s > -1/2; -inf if the factor is always 0."""
    if factor.width < factor.d:
        return -math.inf
    return float(log_mellin(factor, s))


def log_mellin(factor: LayerFactor, s: Shaped[Like, "..."]) -> Shaped[Like, "..."]:
    """ln E[factor^s; factor > 0], array s, real or complex (modulo 2 pi i); width >= d."""
    s = np.asarray(s)
    n, d = factor.width, factor.d
    scale = d * s * math.log(2.0)
    if factor.sphere is not None:
        scale = d * s * math.log(factor.sphere) - _sum_over_frame(factor.sphere, d, s)
    if not factor.masked:
        return scale + _sum_over_frame(n, d, s)
    if factor.slope:
        return scale + log_gamma_ratio(0.5 * n, s) + log_angular_moment(n, s, factor.slope)
    k, weights = _alive_units(n, d, max(0.0, float(s.real.max())))
    given_k = _sum_over_frame(k, d, s[..., None])
    largest = given_k.real.max(axis=-1, keepdims=True)
    return scale + largest[..., 0] + np.log(np.exp(given_k - largest) @ weights)


@lru_cache(maxsize=4096)
def factor_log_moments(factor: LayerFactor) -> tuple[float, float]:
    """Mean and variance of ln(factor) given factor > 0; (nan, nan) if it is always 0."""
    from scipy.special import digamma, polygamma

    n, d = factor.width, factor.d
    if n < d:
        return math.nan, math.nan
    frame = np.arange(d)
    mean, variance = d * math.log(2.0), 0.0
    if factor.sphere is not None:
        largest = 0.5 * (factor.sphere - frame)
        mean = d * math.log(factor.sphere) - float(digamma(largest).sum())
        variance = -float(polygamma(1, largest).sum())
    if not factor.can_vanish:
        full = 0.5 * (n - frame)
        mean += float(digamma(full).sum())
        variance += float(polygamma(1, full).sum())
        angular = angular_log_moments(n, factor.slope) if factor.masked else (0.0, 0.0)
        return mean + angular[0], variance + angular[1]
    k, weights = _alive_units(n, d, 0.0)
    weights = weights / weights.sum()
    halves = 0.5 * (k[:, None] - frame)
    given_k = digamma(halves).sum(axis=1)
    average = float(weights @ given_k)
    spread = float(weights @ (given_k - average) ** 2)
    return mean + average, variance + spread + float(weights @ polygamma(1, halves).sum(axis=1))


def layer_factor_moment(
    width: Real[Array, "*shape"] | Plain,
    m: float,
    *,
    negative_slope: float = 0.0,
    law: str = "normal",
) -> Float[Like, "*shape"]:
    """a_m = E X^{m/2}, m-th moment of a (leaky) ReLU layer's length factor, real m >= 0.

    X is the factor of the squared length over its mean, n = width:

        ReLU, Gaussian:         X = (2/n) chi^2_K, K ~ Binomial(n, 1/2);
        leaky ReLU, slope a:    X = 2 / ((1 + a^2) n) (chi^2_K + a^2 chi^2_{n-K});
        orthogonal, square:     every chi^2 over chi^2_n / n of all units.

    a_2 = 1; ReLU: a_4 = 1 + 5/n, a_6 = 1 + 15/n + 44/n^2, a_1 = exp(-5/(8n) - 3/(8n^2) - ...) for
    the mean length; a_0 = 1, although P(X = 0) = 2^-n. Law "normal" or "orthogonal" (square Haar).
    Exact; relative error 1e-14 (1 + m) at widths up to a million. Reference: arXiv:2102.10492,
    Theorem 3.1 (mean length).
    """
    m, slope = checked_moment(m), abs(checked_slope(negative_slope))
    validate.choice("law", law, LAWS, "Other laws share only the mean square (m = 2).")
    widths = width_array(width)
    return _shaped(lambda n: _normalised_moment(n, m, slope, law), widths)


def output_factor_moment(width: Real[Array, "*shape"] | Plain, m: float) -> Float[Like, "*shape"]:
    """g_m = E (chi^2_n / n)^{m/2}, m-th moment of a linear Gaussian layer's length factor.

    g_m = (2/n)^{m/2} Gamma((n + m)/2) / Gamma(n/2), real m >= 0; g_2 = 1,
    g_1 = exp(-1/(4n) + 1/(24 n^3) - ...). Exact; relative error 1e-15 (1 + m). Reference:
    arXiv:2102.10492, Theorem 3.1 (constant C = g_1).
    """
    m, widths = checked_moment(m), width_array(width)

    def moment(n: int) -> float:
        factor = LayerFactor(n, masked=False)
        return exp(log_factor_moment(factor, 0.5 * m) - 0.5 * m * math.log(n))

    return _shaped(moment, widths)


def growth_threshold(width: Real[Array, "*shape"] | Plain) -> Float[Like, "*shape"]:
    """2 / a_1^2: weight variance times fan_in above which mean ReLU lengths grow.

    A hidden layer multiplies the mean length by sqrt(v/2) a_1(n). The threshold 2
    exp(5/(4n) + 3/(4n^2) + ...) exceeds He's 2. Valid for: Gaussian weights, symmetric or no
    biases; exact.
    """
    return 2.0 / layer_factor_moment(width, 1) ** 2


def exp(log_value: float) -> float:
    """e^x as a float; inf on overflow."""
    return math.exp(log_value) if log_value < 709.78 else math.inf


def _normalised_moment(n: int, m: float, slope: float, law: str) -> float:
    if m == 0:
        return 1.0
    factor = LayerFactor(n, slope=slope, sphere=n if law == "orthogonal" else None)
    return exp(
        log_factor_moment(factor, 0.5 * m) + 0.5 * m * math.log(2.0 / ((1.0 + slope * slope) * n))
    )


def _alive_units(n: int, d: int, order: float) -> tuple[np.ndarray, np.ndarray]:
    """k >= d and P(K = k), not normalized, K shifted by order * d / 2."""
    k, weights = half_binomial(n, math.ceil(order * d))
    first = int(np.searchsorted(k, d))
    return k[first:], weights[first:]


def _sum_over_frame(k: Any, d: int, s: Any) -> Any:
    """ln prod_{j<d} Gamma((k - j)/2 + s) / Gamma((k - j)/2)."""
    return sum(log_gamma_ratio(0.5 * (np.asarray(k) - j), s) for j in range(d))


def _shaped(moment: Callable[[int], float], widths: np.ndarray) -> Any:
    """The moment at every distinct width."""
    unique, places = np.unique(widths, return_inverse=True)
    moments = np.array([moment(int(n)) for n in unique])[places].reshape(widths.shape)
    return float(moments) if widths.ndim == 0 else moments
