"""Edge of chaos of an activation, and its six classes.

z' = b + W phi(z), weight variance w / fan_in, bias variance b, z ~ N(0, K): K' = b + w g(K),
chi_parallel = w g'(K), chi_perp = w h(K).

Edge at a fixed point K (chi_perp = 1): w = 1 / h(K), b = K - g(K) / h(K) >= 0. K attracts iff
R(K) = chi_parallel - 1 = g'(K) / h(K) - 1 < 0. Classes (activations: `critical`):

    scale_invariant    R = b = 0 for every K
    zero_critical      R < 0 and b -> 0 as K -> 0
    half_stable        R(K*) = 0 with b > 0; at every K: softshrink, relu(x - c)
    edge_unstable      R > 0 wherever b >= 0
    edge_saturated     R < 0, b >= 0 only above some K > 0
    none               b < 0 for every K
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.theory.criticality.moments import SingleMoments, single_variance_moments
from deepinit.theory.criticality.origin import VANISHES, origin

SMALLEST, LARGEST = 1e-8, 1e6  # variances of the grid
_PER_DECADE = 8
_ZERO = 1e-10  # R, and b relative to K, that count as 0: a thousand times the error of quadrature
_JUMP = 1e-6


class EdgePoint(NamedTuple):
    """The edge of chaos at one K.

    fixed_point: K; weight_var, bias_var: 1 / h, K - g / h, which may be negative; excess: R;
    square: g.
    """

    fixed_point: float
    weight_var: float
    bias_var: float
    excess: float
    square: float


class Edge(NamedTuple):
    """The edge of chaos on the grid.

    critical: points with R = 0 and b >= 0, nearest to K = 1 first; only half_stable and, rarely,
    zero_critical; first: smallest K with b >= 0; None if the smallest of the grid, or nowhere;
    variances, moments: K with finite moments; g, h, g' there.
    """

    kind: str
    critical: tuple[EdgePoint, ...]
    first: EdgePoint | None
    variances: np.ndarray
    moments: SingleMoments


def edge_point(activation: Activation, variance: float, shift: float = 0.0) -> EdgePoint:
    """The edge at K = variance; NaN where moments are not finite or h is 0."""
    moments = single_variance_moments(activation, np.array([variance]), shift)
    g, h, growth = (float(moment[0]) for moment in moments[:3])
    if not h > 0.0:
        return EdgePoint(variance, math.nan, math.nan, math.nan, math.nan)
    return EdgePoint(variance, 1.0 / h, _snapped(variance - g / h, variance), growth / h - 1.0, g)


@lru_cache(maxsize=128)
def edge_of_chaos(activation: Activation, shift: float = 0.0) -> Edge:
    """The edge and class of phi - shift.

    SpecError: phi constant, with jumps, undeclared kinks, a wrong derivative or no finite moments.
    """
    num = round(_PER_DECADE * math.log10(LARGEST / SMALLEST)) + 1
    variances = np.geomspace(SMALLEST, LARGEST, num)
    moments = single_variance_moments(activation, variances, shift)
    resolved = np.isfinite(moments.square)
    if not resolved.any():
        raise _not_examined(activation, "whose Gaussian moments do not converge")
    if moments.discontinuity[resolved].max() > _JUMP:
        raise _not_examined(activation, "which jumps or has undeclared kinks")
    usable = resolved & (moments.slope_square > 0.0)
    if not usable.any():
        raise _not_examined(activation, "which is constant")
    variances = variances[usable]
    moments = SingleMoments(*(field[usable] for field in moments))
    g, h, growth, _ = moments
    bias = np.array([_snapped(*pair) for pair in zip(variances - g / h, variances, strict=True)])
    excess = growth / h - 1.0
    excess[np.abs(excess) <= _ZERO] = 0.0

    critical = _critical_points(activation, shift, variances, excess, bias)
    first = _first_point(activation, shift, variances, bias)
    kind = _kind(activation, shift, bias, excess, critical)
    return Edge(kind, critical, first, variances, moments)


def _kind(
    activation: Activation,
    shift: float,
    bias: np.ndarray,
    excess: np.ndarray,
    critical: tuple[EdgePoint, ...],
) -> str:
    if not (excess.any() or bias.any()):
        return "scale_invariant"
    signs = excess[excess != 0.0]
    if len(signs) and signs[0] < 0.0:
        near = origin(activation, shift)
        grows = near.deficit < 0.0  # R < 0 was rounding of phi, as in float32
        if abs(near.value) <= VANISHES and math.isfinite(near.weight_var) and not grows:
            return "zero_critical"
    if critical:
        return "half_stable"
    allowed = bias >= 0.0
    if not allowed.any():
        return "none"
    return "edge_unstable" if (excess[allowed] >= 0.0).all() else "edge_saturated"


def _critical_points(
    activation: Activation,
    shift: float,
    variances: np.ndarray,
    excess: np.ndarray,
    bias: np.ndarray,
) -> tuple[EdgePoint, ...]:
    """Roots of R; R = 0 everywhere: the K nearest to 1 with b > 0."""
    if not excess.any() and (bias > 0.0).any():
        nearest = min(variances[bias > 0.0], key=lambda k: abs(math.log(k)))
        return (edge_point(activation, float(f"{nearest:.12g}"), shift)._replace(excess=0.0),)
    points = []
    for left, right in itertools.pairwise(np.flatnonzero(excess)):
        if excess[left] * excess[right] < 0.0:
            ends = variances[left], variances[right]
            root = root_between(lambda k: edge_point(activation, k, shift).excess, *ends)
            points.append(edge_point(activation, root, shift)._replace(excess=0.0))
    allowed = [point for point in points if point.bias_var >= 0.0]
    return tuple(sorted(allowed, key=lambda point: abs(math.log(point.fixed_point))))


def _first_point(
    activation: Activation, shift: float, variances: np.ndarray, bias: np.ndarray
) -> EdgePoint | None:
    allowed = np.flatnonzero(bias >= 0.0)
    if not len(allowed) or allowed[0] == 0:
        return None
    ends = variances[allowed[0] - 1], variances[allowed[0]]
    least = root_between(lambda k: edge_point(activation, k, shift).bias_var, *ends)
    return edge_point(activation, least, shift)


def root_between(function: Callable[[float], float], left: float, right: float) -> float:
    """Root in K between left and right, to rounding; the better end without a sign change."""
    from scipy.optimize import brentq

    def of_log(log: float) -> float:
        return function(math.exp(log))

    ends = math.log(left), math.log(right)
    values = of_log(ends[0]), of_log(ends[1])
    if not values[0] * values[1] < 0.0:
        return left if abs(values[0]) <= abs(values[1]) else right
    return math.exp(brentq(of_log, *ends, xtol=1e-15, rtol=1e-14))


def _snapped(bias: float, variance: float) -> float:
    return 0.0 if abs(bias) <= _ZERO * variance else float(bias)


def _not_examined(activation: Activation, what: str) -> SpecError:
    return SpecError(
        f"the activation {activation!r}, {what}",
        "continuous activations, differentiable between declared kinks, of finite E phi(z)^2",
        "Declare kinks, di.from_function(fn, kinks=(-1.0, 1.0)); replace jumps by steep slopes.",
    )
