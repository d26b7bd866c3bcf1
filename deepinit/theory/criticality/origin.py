"""What a small preactivation sees of an activation: its one-sided Taylor series at 0.

With phi = sum_n t_n z^n on either side of 0 and w = 2 / (phi'(0-)^2 + phi'(0+)^2),

    w g(K) = K (1 - c K^p + ...),    2p the order of the first term of phi^2 beyond z^2,

so that K' = w g(K) decays from any small K > 0 as K_l ~ (p c l)^(-1/p): 1/(c l) for a smooth odd phi
(p = 1), 4 / (c l)^2 where phi'' jumps at 0, or where phi' does and phi'' is not 0 (p = 1/2).
"""

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.theory.numerics.smooth_moments import derivatives_at

_BESIDE = 1e-20  # where the one-sided derivatives are taken, and once more at twice the distance
VANISHES = 1e-12  # |phi(0)|, and coefficients relative to phi'(0)^2, that count as 0
_SAME = 1e-9  # relative difference of the two for a derivative that has a limit


class Origin(NamedTuple):
    """An activation near 0.

    Attributes:
        value: phi(0).
        slopes: (phi'(0-), phi'(0+)).
        weight_var: w = 2 / (phi'(0-)^2 + phi'(0+)^2); inf where both slopes are 0.
        power: p; inf where no term up to z^5 contributes, NaN where a derivative is not finite.
        deficit: c, > 0 where small variances decay at w; 0 for p = inf.
    """

    value: float
    slopes: tuple[float, float]
    weight_var: float
    power: float
    deficit: float


class Decay(NamedTuple):
    """The decay K_l ~ constant / l^power of the preactivation variance at the critical point K* = 0.

    Attributes:
        power: 1 (tanh, erf, sin), 2 (ELU, SELU); inf where K decays more slowly than any power of l,
            as for hard tanh and ReLU6, which are scale invariant up to exp(-1/K).
        constant: independent of the start; NaN for power = inf.
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
        term = (
            0.5
            * _absolute_moment(order)
            * (_square(right, order) + (-1) ** order * _square(left, order))
        )
        if not math.isfinite(term):
            return Origin(value, slopes, 1.0 / mean, math.nan, math.nan)
        if abs(term) > size:
            return Origin(value, slopes, 1.0 / mean, 0.5 * order - 1.0, -float(term) / mean)
    return Origin(value, slopes, 1.0 / mean, math.inf, 0.0)


def _limits(near: np.ndarray, far: np.ndarray) -> np.ndarray:
    """The one-sided limits of derivatives at 0 from those at 1 and 2 steps; NaN where they diverge."""
    with np.errstate(invalid="ignore"):
        settled = np.abs(far - near) <= _SAME * (np.abs(near) + np.abs(near[0]))
        vanishes = np.abs(near) < np.abs(far)
    return np.where(settled, near, np.where(vanishes, 0.0, np.nan))


def norm_decay(activation: Any) -> Decay:
    """How the preactivation variance K decays with depth at the critical point of class zero_critical.

    Args:
        activation: of class "zero_critical": tanh, erf, sin, ELU, SELU, hard tanh, ReLU6, ...

    Returns:
        `Decay`: K_l ~ constant / l^power at the critical weight variance without biases. The relative
        error is O(log(l) / l).

    Raises:
        SpecError: phi(0) != 0, phi'(0) = 0, small variances that grow, an expansion at 0 not in
            integer powers.

    Reference: derivation in the module docstring; power 1 agrees with arXiv:2106.10165, chapter 5.
    """
    phi = as_activation(activation)
    near = origin(phi)
    if math.isinf(near.power) and abs(near.value) <= VANISHES:
        return Decay(math.inf, math.nan)
    if not (abs(near.value) <= VANISHES and near.deficit > 0.0):
        raise SpecError(
            f"norm_decay of {phi!r}, which has no critical point at K* = 0 that attracts",
            "activations of class zero_critical (tanh, erf, sin, ELU, SELU, ...)",
            "di.critical(activation) finds the class.",
        )
    return Decay(1.0 / near.power, float((near.power * near.deficit) ** (-1.0 / near.power)))


def _square(coefficients: np.ndarray, order: int) -> float:
    """The coefficient of z^order in phi^2; coefficients: [5] of z, z^2, ..., z^5."""
    return float(sum(coefficients[i - 1] * coefficients[order - i - 1] for i in range(1, order)))


def _absolute_moment(order: int) -> float:
    """E |Z|^order."""
    return 2.0 ** (0.5 * order) * math.gamma(0.5 * (order + 1)) / math.sqrt(math.pi)
