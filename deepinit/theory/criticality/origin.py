"""One-sided Taylor series at 0, and the decay of small preactivations.

phi = sum_n t_n z^n on either side, w = 2 / (phi'(0-)^2 + phi'(0+)^2): w g(K) = K (1 - c K^p + ...),
2p the order of the first term of phi^2 beyond z^2. K_l ~ (p c l)^(-1/p): 1/(c l) for smooth odd phi
(p = 1); 4 / (c l)^2 where phi'' jumps at 0, or phi' does and phi'' is not 0 (p = 1/2).
"""

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike
from deepinit.theory.numerics.smooth_moments import derivatives_at

_BESIDE = 1e-20  # one-sided derivatives are taken here and at twice this distance
VANISHES = 1e-12  # |phi(0)|, and coefficients relative to phi'(0)^2, that count as 0
_SAME = 1e-9  # relative difference between the two of a derivative that has a limit


class Origin(NamedTuple):
    """An activation near 0.

    Attributes:
        value, slopes: phi(0); (phi'(0-), phi'(0+)).
        weight_var: w; inf where both slopes are 0.
        power: p; inf if no term up to z^5 contributes, NaN if a derivative is not finite.
        deficit: c, > 0 where small variances decay; 0 for p = inf.
    """

    value: float
    slopes: tuple[float, float]
    weight_var: float
    power: float
    deficit: float


class Decay(NamedTuple):
    """K_l ~ constant / l^power, preactivation variance where K* = 0.

    Power: 1 (tanh, erf, sin), 2 (ELU, SELU); inf if slower than any power (hard tanh, ReLU6), with
    constant NaN.
    """

    power: float
    constant: float


@lru_cache(maxsize=256)
def origin(activation: Activation, shift: float = 0.0) -> Origin:
    """The expansion of phi - shift."""
    orders = derivatives_at(activation, _BESIDE * np.array([-1.0, 1.0, -2.0, 2.0]))
    value = float(orders[0, 0]) - shift
    orders = _limits(orders[1:, :2], orders[1:, 2:])
    left, right = (orders / np.cumprod(np.arange(1.0, 6.0))[:, None]).T
    slopes = (float(left[0]), float(right[0]))
    mean = 0.5 * (slopes[0] ** 2 + slopes[1] ** 2)
    if not (math.isfinite(mean) and mean > 0.0):
        return Origin(value, slopes, math.inf if mean == 0.0 else math.nan, math.nan, math.nan)
    size = VANISHES * mean
    for order in range(3, 7):  # phi^2 is known to the order z^6
        both = _square(right, order) + (-1) ** order * _square(left, order)
        term = 0.5 * _absolute_moment(order) * both
        if not math.isfinite(term):
            return Origin(value, slopes, 1.0 / mean, math.nan, math.nan)
        if abs(term) > size:
            return Origin(value, slopes, 1.0 / mean, 0.5 * order - 1.0, -float(term) / mean)
    return Origin(value, slopes, 1.0 / mean, math.inf, 0.0)


def _limits(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """One-sided limits at 0 from 1 and 2 steps; NaN where they diverge."""
    with np.errstate(invalid="ignore"):
        settled = np.abs(far - near) <= _SAME * (np.abs(near) + np.abs(near[0]))
        vanishes = np.abs(near) < np.abs(far)
    return np.where(settled, near, np.where(vanishes, 0.0, np.nan))


def norm_decay(activation: ActivationLike) -> Decay:
    """Decay of the preactivation variance with depth at a critical point K* = 0.

    Class "zero_critical" at the critical weight variance, no biases; relative error O(log(l) / l).
    SpecError: phi(0) != 0, phi'(0) = 0, growing small variances, non-integer powers at 0.
    Reference: arXiv:2106.10165, chapter 5 (power 1).
    """
    phi = as_activation(activation)
    near = origin(phi)
    if math.isinf(near.power) and abs(near.value) <= VANISHES:
        return Decay(math.inf, math.nan)
    if not (abs(near.value) <= VANISHES and near.deficit > 0.0):
        raise SpecError(
            f"norm_decay of {phi!r}, without an attracting critical point at K* = 0",
            "activations of class zero_critical (tanh, erf, sin, ELU, SELU, ...)",
            "di.critical(activation) returns the class.",
        )
    return Decay(1.0 / near.power, float((near.power * near.deficit) ** (-1.0 / near.power)))


def _square(coefficients: np.ndarray, order: int) -> float:
    """Coefficient of z^order in phi^2."""
    return float(sum(coefficients[i - 1] * coefficients[order - i - 1] for i in range(1, order)))


def _absolute_moment(order: int) -> float:
    """E |Z|^order."""
    return 2.0 ** (0.5 * order) * math.gamma(0.5 * (order + 1)) / math.sqrt(math.pi)
