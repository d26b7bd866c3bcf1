"""Distribution function of ||J u||, by inversion of a characteristic function.

Y = ln ||Ju||^2 given Ju != 0, phi(t) = E e^{itY} = prod_layers E[factor^{it} | factor > 0],
t_j = (j + 1/2) delta. The Gil-Pelaez sum P(Y <= y) = 1/2 - (1/pi) sum_{j>=0}
Im(e^{-i t_j y} phi(t_j)) / (j + 1/2) has error at most P(|Y - y| > 2 pi / delta)
(Poisson summation); Chernoff's bound chooses delta. |phi| decreases at least like exp(-pi t / 2)
per layer.
"""

import math
from collections import Counter

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import as_floats
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.theory.lengths.log_moments import cumulative_log_moments, log_alive
from deepinit.theory.numerics.homogeneous_layers import (
    HomogeneousLayer,
    HomogeneousNetwork,
    LayerFactor,
    network_layers,
)
from deepinit.theory.numerics.layer_factors import log_factor_moment, log_mellin

_LOG_TAIL = 34.0  # e^-34 = 2e-15 is neglected on either side, in t and in y
_BLOCK = 64  # points t evaluated at once


def length_cdf(
    x: Real[Array, "*shape"] | Plain, network: HomogeneousNetwork
) -> Float[Like, "*shape"]:
    """P(||J u|| <= x), any input and unit tangent, Gaussian weights, exact in the widths.

    1 - p + p P(ln ||Ju||^2 <= 2 ln x | Ju != 0), p = prod_{l<L} (1 - 2^{-n_l}) for ReLU. Absolute
    error 1e-12; at 0: probability of a dead network. Valid for: as `length_moment`; law "normal"
    (orthogonal weights can have atoms).
    """
    layers = network_layers(network)
    validate.choice("law", network.law, ("normal",), "Simulate other laws.")
    (points,) = as_floats(np, x)
    if np.isnan(points).any():
        raise SpecError(f"x={x!r}", "real numbers", "Drop the nan: x[~numpy.isnan(x)].")
    log_p = float(log_alive(layers)[-1])
    alive = math.exp(log_p)
    result = np.where(points >= 0.0, -math.expm1(log_p), 0.0)
    positive = points > 0.0
    if alive > 0.0 and positive.any():
        result[positive] += alive * _log_cdf(2.0 * np.log(points[positive]), layers)
    return float(result) if points.ndim == 0 else result


def _log_cdf(y: np.ndarray, layers: list[HomogeneousLayer]) -> np.ndarray:
    """P(Y <= y | alive), y [m]."""
    moments = cumulative_log_moments(layers)
    mean, spread = float(moments.mean[-1]), math.sqrt(float(moments.variance[-1]))
    factors = Counter(layer.factor for layer in layers)
    log_scale = sum(math.log(layer.entry_var) for layer in layers) - mean
    below, above = _support(factors, log_scale, spread)
    y = y - mean  # Y is centred below: the phases stay small
    inside = (y > -below) & (y < above)
    probability = np.where(y >= above, 1.0, 0.0)
    if inside.any():
        step = 2.0 * math.pi / (below + above)
        probability[inside] = _gil_pelaez(y[inside], factors, log_scale, step)
    return probability


def _support(factors: Counter, log_scale: float, spread: float) -> tuple[float, float]:
    """Distances from the mean with tail probability e^-34 (Chernoff)."""
    least = min(_least_units(factor) for factor in factors)

    def bound(s: float) -> float:
        log_moment = sum(
            count * (log_factor_moment(factor, s) - factor.log_alive)
            for factor, count in factors.items()
        )
        return (_LOG_TAIL + log_moment + s * log_scale) / abs(s)

    # The best argument is near 8 / spread for a Gaussian; negative moments exist up to half the
    # least number of units.
    orders = [size / spread for size in (0.5, 1.0, 2.0, 4.0, 8.0)]
    below = min(bound(-min(s, 0.45 * least)) for s in orders)
    return below, min(bound(s) for s in [*orders, 0.5, 1.0, 2.0])


def _least_units(factor: LayerFactor) -> int:
    """Least number k of units on, up to 1e-80; moments above order -k/2 exist."""
    if not factor.can_vanish:
        return factor.width
    return max(1, factor.width // 2 - math.ceil(10.0 * math.sqrt(factor.width)))


def _gil_pelaez(y: np.ndarray, factors: Counter, log_scale: float, step: float) -> np.ndarray:
    total = np.zeros_like(y)
    start = 0
    while True:
        half_odd = np.arange(start, start + _BLOCK) + 0.5
        t = step * half_odd
        log_phi = 1j * t * log_scale
        for factor, count in factors.items():
            log_phi = log_phi + count * (log_mellin(factor, 1j * t) - factor.log_alive)
        total += (np.exp(log_phi - 1j * np.multiply.outer(y, t)).imag / half_odd).sum(axis=-1)
        if log_phi.real.max() < -_LOG_TAIL - 2.0:
            return np.clip(0.5 - total / math.pi, 0.0, 1.0) + 0.0  # no negative zeros
        start += _BLOCK
