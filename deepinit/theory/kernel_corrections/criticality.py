"""Growth of 1/width corrections with depth, by universality class, one input.

At K* = bias_var + w g(K*): chi_par = w dg/dK, chi_perp = w E phi'^2. r = depth / width. Slopes
without a formula are NaN.

Scale invariant: E X^2/(E X)^2 = 1 + c/n per layer, c = 3q/p^2 - 1, p and q the means of the squares
and fourth powers of the slopes. V/K^2 = c r, K1 = 0; at w = 1/p Var Theta/T^2 = (7c - 2)/9 r and
D/(K T) = (2c - 1)/3 r.
K* = 0, marginal: K_l = (p c l)^(-1/p) (`criticality.origin`), chi_par = 1 - (1 + 1/p)/l, w^2 Var
phi^2 = c0 K^2, c0 = 3q/p0^2 - 1 of the slopes at 0; V = v K^2 l/n, v = c0/3; K1 = k K l/n,
k = -(1 + p) v/4. Tanh: 2/3 and -1/3; ELU: 2/3 and -1/4. Odd phi, p = 1: E phi'^2 = 1 - 1/l, B = T^2
r/3, Var Theta/T^2 = 2r/3, T1/T = -r/4 (Fc).
Other stable fixed points: n V* = w^2 C/(1 - chi_par^2), n K1* = (w/2) g'' n V*/(1 - chi_par); the
tangent variance saturates for chi_perp < 1 and grows with depth for chi_perp > 1.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.gaussian import is_odd
from deepinit.core.typing import ActivationLike
from deepinit.theory.criticality.edge import Edge, edge_of_chaos, root_between
from deepinit.theory.criticality.moments import single_variance_moments
from deepinit.theory.criticality.origin import origin
from deepinit.theory.kernel_corrections.layer_moments import single_entry_moments

_MARGINAL = 1e-6  # |chi - 1| that counts as critical, relative error of constants of seven digits
_AT_FIXED_POINT = 1e-5  # such constants move a fixed point by 1e-6 / |1 - chi_parallel|
_UNKNOWN = math.nan


class Criticality(NamedTuple):
    """Universality class and slopes of the corrections in r.

    Attributes:
        name: critical points: "scale_invariant", "zero_critical" (K* = 0), "half_stable"
            (K* > 0, both chi = 1); else "ordered" (chi_perp < 1), "chaotic" (chi_perp > 1),
            "marginal" (edge of chaos, K* > 0), "vanishing" (K -> 0, chi < 1), "unsettled"
            (K -> infinity).
        fixed_point: K*; NaN where every K is one.
        chi_parallel, chi_perpendicular: at K*; chi_parallel > 1: K* repels, the first layer must
            have mean square K*.
        kernel_variance, kernel_shift: lim V/K^2 and K1/K, in units of `per`.
        tangent_variance, tangent_shift, mixed: lim Var Theta/T^2, T1/T and D/(K T), one output.
        per: "depth/width" (r) or "1/width".
        largest_sum: r at which first-order variances are off by about 30 %; NaN where it depends on
            depth (`kernel_corrections` estimates it).
    """

    name: str
    fixed_point: float
    chi_parallel: float
    chi_perpendicular: float
    kernel_variance: float
    kernel_shift: float
    tangent_variance: float
    tangent_shift: float
    mixed: float
    per: str
    largest_sum: float


def criticality_class(
    activation: ActivationLike,
    weight_var: float,
    bias_var: float = 0.0,
    *,
    mean_square: float = 1.0,
) -> Criticality:
    """Universality class of an initialization, and growth of 1/width corrections.

    V/K^2 = slope * r, r = sum of 1/width, for many layers of equal width. Fixed points from 1e-8 to
    1e6. Variances within 1e-6 of a critical point count as critical, K within 1e-5 of a fixed point
    as fixed.

    Args:
        weight_var: variance times fan_in, > 0.
        mean_square: K > 0 of the first layer; ignored at critical variances.

    SpecError: variances out of range; an activation not accepted by `di.critical`. Valid for: first
    order in 1/width; `largest_sum` exact (scale invariant) or simulated (tanh). "zero_critical"
    slopes have error log(depth)/depth: 1 % from depth 1000, far off at depth 10. Reference:
    arXiv:2106.10165, chapters 5 and 8.
    """
    weight_var = validate.positive("weight_var", weight_var, "He initialization of ReLU is 2.")
    bias_var = validate.not_negative("bias_var", bias_var)
    mean_square = validate.positive("mean_square", mean_square, "1 is usual.")
    phi = as_activation(activation)
    edge = edge_of_chaos(phi)
    if bias_var == 0.0 and edge.kind == "scale_invariant":
        return _scale_invariant(phi.slopes or origin(phi).slopes, weight_var)
    ratio = weight_var / origin(phi).weight_var
    if bias_var == 0.0 and edge.kind == "zero_critical" and abs(ratio - 1.0) < _MARGINAL:
        return _zero_critical(phi)
    for point in edge.critical:
        given, exact = (weight_var, bias_var), (point.weight_var, point.bias_var)
        if all(math.isclose(a, b, rel_tol=_MARGINAL) for a, b in zip(given, exact, strict=True)):
            return _class_only("half_stable", point.fixed_point, 1.0, 1.0)
    fixed = _fixed_point(phi, edge, weight_var, bias_var, mean_square)
    if not math.isfinite(fixed):
        return _class_only("unsettled", _UNKNOWN, _UNKNOWN, _UNKNOWN)
    if fixed == 0.0:
        return _class_only("vanishing", 0.0, ratio, ratio)
    moments = single_entry_moments(phi, np.array([fixed]))
    _, slope_square, growth, _ = single_variance_moments(phi, np.array([fixed]))
    parallel, perpendicular = weight_var * float(growth[0]), weight_var * float(slope_square[0])
    noise = weight_var**2 * float(moments.products[0, 0, 0] - moments.g.value[0] ** 2)
    variance, shift = _UNKNOWN, _UNKNOWN
    if abs(parallel) < 1.0 - _MARGINAL:
        variance = noise / (1.0 - parallel**2)
        shift = 0.5 * weight_var * float(moments.g.hessian[0, 0, 0]) * variance / (1.0 - parallel)
    name = "ordered" if perpendicular < 1.0 else "chaotic"
    if abs(perpendicular - 1.0) < _MARGINAL:
        name = "marginal"
    return _class_only(name, fixed, parallel, perpendicular)._replace(
        kernel_variance=variance / fixed**2, kernel_shift=shift / fixed, per="1/width"
    )


def _class_only(
    name: str, fixed_point: float, parallel: float, perpendicular: float
) -> Criticality:
    nothing = (_UNKNOWN,) * 5
    return Criticality(
        name, fixed_point, parallel, perpendicular, *nothing, "depth/width", _UNKNOWN
    )


def _scale_invariant(slopes: tuple[float, float], weight_var: float) -> Criticality:
    c, chi = _four_point(slopes), weight_var * 0.5 * (slopes[0] ** 2 + slopes[1] ** 2)
    critical = abs(chi - 1.0) < _MARGINAL
    fixed = _UNKNOWN if critical else (0.0 if chi < 1.0 else math.inf)
    return _class_only("scale_invariant", fixed, chi, chi)._replace(
        kernel_variance=c,
        kernel_shift=0.0,
        tangent_variance=(7.0 * c - 2.0) / 9.0 if critical else _UNKNOWN,
        tangent_shift=0.0,
        mixed=(2.0 * c - 1.0) / 3.0 if critical else _UNKNOWN,
        largest_sum=0.1 * 5.0 / max(c, 1e-300),
    )


def _zero_critical(phi: Activation) -> Criticality:
    near = origin(phi)
    p = near.power if math.isfinite(near.power) else _UNKNOWN
    variance = _four_point(near.slopes) / 3.0
    kernel = (variance, -0.25 * (1.0 + p) * variance) if p > 0.0 else (_UNKNOWN, _UNKNOWN)
    tangent = (2.0 / 3.0, -0.25, 0.0) if p == 1.0 and is_odd(phi) else (_UNKNOWN,) * 3
    largest = 0.5 if p == 1.0 else _UNKNOWN
    return Criticality("zero_critical", 0.0, 1.0, 1.0, *kernel, *tangent, "depth/width", largest)


def _four_point(slopes: tuple[float, float]) -> float:
    """c = Var z^2 E phi'^4 / (E phi'^2)^2 in units of K^2."""
    p, q = 0.5 * (slopes[0] ** 2 + slopes[1] ** 2), 0.5 * (slopes[0] ** 4 + slopes[1] ** 4)
    return 3.0 * q / p**2 - 1.0


def _fixed_point(
    phi: Activation, edge: Edge, weight_var: float, bias_var: float, mean_square: float
) -> float:
    """Limit of K' = b + w g(K); inf beyond the grid."""

    def change(variance: float) -> tuple[float, float]:
        """K' - K and chi_parallel."""
        square, _, growth, _ = (float(m[0]) for m in single_variance_moments(phi, [variance]))
        return bias_var + weight_var * square - variance, weight_var * growth

    grid = edge.variances
    start = min(max(mean_square, grid[0]), grid[-1])
    moved, chi = change(start)
    turns = max(abs(1.0 - chi), _MARGINAL)
    if start == mean_square and abs(moved) <= _AT_FIXED_POINT * turns * start:
        if abs(1.0 - chi) < _MARGINAL:  # every K near it is fixed, to rounding
            return start
        for _ in range(4):  # Newton's method, from 1e-5
            start += moved / (1.0 - chi)
            moved, chi = change(start)
        return start
    rises = moved > 0.0
    ahead = np.flatnonzero(grid > start) if rises else np.flatnonzero(grid < start)[::-1]
    ends = [start, *grid[ahead]]
    moves = [moved, *(bias_var + weight_var * edge.moments.square - grid)[ahead]]
    chis = [chi, *(weight_var * edge.moments.growth)[ahead]]
    for i in range(len(ahead)):
        left, right = ends[i : i + 2]
        # K' - K turns: a pair of fixed points may lie in between
        if (chis[i] > 1.0) != (chis[i + 1] > 1.0):
            turn = root_between(lambda k: change(k)[1] - 1.0, left, right)
            if (change(turn)[0] > 0.0) != rises:
                return root_between(lambda k: change(k)[0], left, turn)
        if (moves[i + 1] > 0.0) != rises:
            return root_between(lambda k: change(k)[0], left, right)
    if rises or not math.isfinite(moved):
        return math.inf
    at_zero = bias_var + weight_var * origin(phi).value ** 2
    if at_zero <= 1e-9 * grid[0]:
        return 0.0
    return root_between(lambda k: change(k)[0], 0.5 * at_zero, grid[0])
