"""Exact finite-width laws of the angle of two inputs in one ReLU layer.

Small angles: given m ~ Binomial(n, 1/2) >= 2 active neurons, sin^2(theta') / sin^2(theta) ->
chi^2_{m-1} / chi^2_m as theta -> 0 (independent). ln chi^2_k has mean psi(k/2) + ln 2, variance
psi_1(k/2) (digamma, trigamma). Degeneracy: a neuron is active on both inputs with probability
q = (pi - theta)/(2 pi), on neither with q. Images are collinear if one neuron is active on both,
the others on neither.
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import array_namespace, as_floats, is_traced
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Numbers, Plain, Real

_HALF_WINDOW = 10.0  # of the binomial sum, in standard deviations: the rest is below 1e-22
_SERIES_FROM = 60  # active neurons beyond which the digamma series is exact to rounding


class SmallAngleMoments(NamedTuple):
    """Mean and variance of ln(sin^2(theta') / sin^2(theta)) as theta -> 0."""

    mean: Float[Like, "*shape"]
    variance: Float[Like, "*shape"]


class Degeneracy(NamedTuple):
    """Probabilities of collinear images and of a zero image."""

    collinear: Float[Like, "*shape"]
    dead: Float[Like, "*shape"]


def small_angle_log_sin2_moments(width: Real[Array, "*shape"] | Plain) -> SmallAngleMoments:
    """Mean E0 and variance V0 of the change of ln sin^2 in one ReLU layer as theta -> 0.

    E0 = E_m[psi((m-1)/2) - psi(m/2)] = -2/n - 8/n^2 + ...,
    V0 = E_m[psi_1((m-1)/2) + psi_1(m/2)] + Var_m[psi((m-1)/2) - psi(m/2)] = 8/n + 32/n^2 + ...,
    m ~ Binomial(n, 1/2) given m >= 2; width n >= 2, concrete, integer. Relative error 1e-13.
    """
    check_concrete_width(width, "small_angle_log_sin2_moments")
    check_width(width, 2, "two active neurons")
    if np.ndim(width) == 0 and array_namespace(width) is np:
        return _one_width(int(np.asarray(width)))
    sizes = np.asarray(width)
    rows = np.array([_one_width(int(n)) for n in sizes.ravel()], dtype=np.float64).reshape(-1, 2)
    mean, variance = rows.T.reshape(2, *sizes.shape)
    xp = array_namespace(width)
    dtype = np.float64 if xp is np else as_floats(xp, width)[0].dtype
    return SmallAngleMoments(xp.asarray(mean, dtype=dtype), xp.asarray(variance, dtype=dtype))


@lru_cache(maxsize=4096)
def _one_width(n: int) -> SmallAngleMoments:
    reach = math.ceil(0.5 * _HALF_WINDOW * math.sqrt(n))
    m = np.arange(max(2, n // 2 - reach), min(n, n // 2 + reach) + 1, dtype=np.float64)
    # Binomial probabilities from their ratios: log-gamma of a million would cost nine digits.
    log_weights = np.concatenate([[0.0], np.cumsum(np.log((n - m[:-1]) / (m[:-1] + 1)))])
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()

    from scipy.special import polygamma

    change = _half_digamma_difference(m)
    mean = float(weights @ change)
    spread = float(weights @ (change - mean) ** 2)
    within = float(weights @ (polygamma(1, 0.5 * (m - 1)) + polygamma(1, 0.5 * m)))
    return SmallAngleMoments(mean, within + spread)


def degeneracy_probability(theta: Numbers, width: Numbers) -> Degeneracy:
    """Probabilities that one ReLU layer makes images collinear, or one of them zero.

    collinear: n q^n; dead: 2^{1-n} - q^n, at least one zero image; q = (pi - theta)/(2 pi),
    theta in [0, pi] (at 0 the limit). Disjoint, exact; otherwise ln sin^2 is almost surely finite.
    Valid for: no bias, Gaussian weights (or any symmetric law without atoms on rays).
    """
    xp = array_namespace(theta, width)
    (angle,) = as_floats(xp, theta)
    validate.angle(angle)
    check_width(width, 1, "degeneracy_probability")
    n = xp.asarray(width, dtype=angle.dtype)
    q = xp.maximum(math.pi - angle, 0.0) / (2.0 * math.pi)
    return Degeneracy(n * q**n, 2.0 ** (1 - n) - q**n)


def check_concrete_width(width: Numbers, what: str) -> None:
    """Refuse a traced width."""
    given, remedy = f"a traced width for {what}", "Close over the width, or take second_order."
    allowed = "a concrete width: the host sums over active neurons"
    validate.require(not is_traced(width), given, allowed, remedy)


def check_width(width: Numbers, least: int, what: str) -> None:
    """Refuse concrete widths below `least` or not whole."""
    if is_traced(width):
        return
    n = validate.real_numbers(width)
    if n is None or not ((n >= least) & (n < math.inf) & (n == np.floor(n))).all():
        remedy = "It is the width of the layer produced."
        raise SpecError(f"width={width!r}", f"whole numbers >= {least} for {what}", remedy)


def _half_digamma_difference(m: np.ndarray) -> np.ndarray:
    """psi((m-1)/2) - psi(m/2), m >= 2, to relative accuracy."""
    from scipy.special import digamma

    y = 1.0 / np.maximum(m - 1.0, 0.5 * _SERIES_FROM)
    y2 = y * y
    series = -y * (1.0 + y * (0.5 - y2 * (0.25 - y2 * (0.5 - y2 * (2.125 - 15.5 * y2)))))
    return np.where(m > _SERIES_FROM, series, digamma(0.5 * (m - 1.0)) - digamma(0.5 * m))
