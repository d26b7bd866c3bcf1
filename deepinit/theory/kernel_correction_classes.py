"""How corrections of order 1/width grow with depth: universality classes of one input, their slopes in r = depth/width and their range.

One input: chi_par = w dg/dK and chi_perp = w E phi'^2 (w = weight_var), at the fixed point K* = bias_var + w g(K*).

Scale invariant (homogeneous activation, no biases): G is a product of independent factors with E X^2/(E X)^2 = 1 + c/n, c = 3q/p^2 - 1,
p and q the means of the squares and fourth powers of the two slopes. V/K^2 = c r, K1 = 0; at the critical w = 1/p Var Theta/T^2 = (7c - 2)/9 r; D/(K T) = (2c - 1)/3 r, the mean
over the layers of c (shared factors of G) and (c - 2)/3 (one layer's factors of G and of the backward norm).

K* = 0, marginal (phi odd, w phi'(0)^2 = 1, no biases, K decreasing like 1/(|a| l)): chi_par = 1 - 2/l, C = 2K^2, so V = c K^2 l/n with -c/4 = 1/2 - c in
units of tanh, c = 2/3; 0 = -(2/l) K1 + a V gives K1/K = -r/3; E phi'^2 = 1 - 1/l (odd phi), B = T^2 r/3, hence Var Theta/T^2 = 2r/3, and Fc makes T1/T = -r/4.

Else, at a stable fixed point, depth drops out of the kernel: n V* = w^2 C/(1 - chi_par^2), n K1* = (w/2) g'' n V*/(1 - chi_par); the tangent kernel's variance saturates in the ordered
phase (chi_perp < 1) and grows with depth in the chaotic one. Slopes that are not known are NaN: the recursion gives the numbers.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.checks import is_number
from deepinit.core.errors import SpecError, refusal
from deepinit.core.gaussian import values
from deepinit.theory.kernel_correction_layer import single_entry_moments
from deepinit.theory.kernel_correction_moments import LARGEST_STD
from deepinit.theory.kernel_correction_nodes import values_and_slopes

_MARGINAL = 1e-6  # |chi - 1| that counts as critical
_SMALL = 1e-9  # K* below it is 0
_VANISHED = 1e-12  # a variance on its way to 0
_UNKNOWN = math.nan


class Criticality(NamedTuple):
    """The class of an activation at given variances, and its slopes.

    Attributes:
        name: "scale_invariant", "zero_critical" (K* = 0, marginal), "ordered", "chaotic", "marginal" (K* > 0 and chi_perp = 1),
            "vanishing" (K* = 0, chi < 1), "unsettled" (no fixed point within 200 layers, or none below 1e7).
        fixed_point: K*; NaN where there is none (scale invariant: every K at the critical weight variance).
        chi_parallel, chi_perpendicular: at the fixed point.
        kernel_variance: lim V/K^2, in units of `per`.
        kernel_shift: lim K1/K.
        tangent_variance: lim Var Theta/T^2, one output.
        tangent_shift: lim T1/T.
        mixed: lim D/(K T).
        per: "depth/width" (r) or "1/width".
        largest_sum: r up to which first-order variances are within about 30 %; NaN where it depends on the depth, `kernel_corrections` then estimates it.
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
    activation: Any, weight_var: float, bias_var: float = 0.0, *, mean_square: float = 1.0
) -> Criticality:
    """Where an initialization stands: its universality class, and what depth does to corrections of order 1/width there.

    Slopes such that V/K^2 = slope * r, r = sum of 1/width, for many layers of equal width; formulas in the module docstring.

    Args:
        activation: an Activation, a built-in's name or a JAX function.
        weight_var: variance times fan_in, > 0.
        bias_var: >= 0.
        mean_square: K of the first layer, from which the fixed point is approached, > 0.

    Returns:
        `Criticality`. Asymptotic slopes of "zero_critical" hold to log(depth)/depth: 1 % from depth 1000, and far off at depth 10.

    Raises:
        SpecError: variances out of range.

    Valid for: first order in 1/width; `largest_sum` from exact moments (scale invariant) and simulation (tanh).

    Reference: arXiv:2106.10165, chapters 5 and 8; derivation in the module docstring.
    """
    numbers = (weight_var, bias_var, mean_square)
    good = all(is_number(each) and np.isfinite(each) for each in numbers)
    if not (good and weight_var > 0 and bias_var >= 0 and mean_square > 0):
        raise SpecError(
            refusal(
                f"weight_var={weight_var}, bias_var={bias_var}, mean_square={mean_square}",
                "weight_var > 0, bias_var >= 0, mean_square > 0",
                "He initialization of ReLU is weight_var=2.",
            )
        )
    phi = as_activation(activation)
    if phi.slopes is not None and bias_var == 0.0:
        return _scale_invariant(phi.slopes, weight_var)
    start = _slope_at_zero(phi)
    if bias_var == 0.0 and start is not None:
        chi = weight_var * start**2
        if abs(chi - 1.0) < _MARGINAL and _decreasing(phi, weight_var):
            odd = _is_odd(phi)
            tangent = (2.0 / 3.0, -0.25, 0.0) if odd else (_UNKNOWN,) * 3
            return Criticality("zero_critical", 0.0, 1.0, 1.0, 2.0 / 3.0, -1.0 / 3.0, *tangent, "depth/width", 0.5)
    fixed = _fixed_point(phi, weight_var, bias_var, mean_square)
    if not math.isfinite(fixed):
        return Criticality("unsettled", *(_UNKNOWN,) * 8, "depth/width", _UNKNOWN)
    if fixed < _SMALL:
        chi = weight_var * (start or 0.0) ** 2
        return Criticality("vanishing", 0.0, chi, chi, *(_UNKNOWN,) * 5, "depth/width", _UNKNOWN)
    moments = single_entry_moments(phi, np.array([fixed]))
    parallel = weight_var * float(moments.g.gradient[0, 0])
    perpendicular = weight_var * float(moments.h.value[0])
    noise = weight_var**2 * float(moments.products[0, 0, 0] - moments.g.value[0] ** 2)
    variance, shift = _UNKNOWN, _UNKNOWN
    if abs(parallel) < 1.0 - _MARGINAL:
        variance = noise / (1.0 - parallel**2)
        shift = 0.5 * weight_var * float(moments.g.hessian[0, 0, 0]) * variance / (1.0 - parallel)
    if abs(perpendicular - 1.0) < _MARGINAL:
        name = "marginal"
    elif perpendicular < 1.0:
        name = "ordered"
    else:
        name = "chaotic"
    return Criticality(
        name,
        fixed,
        parallel,
        perpendicular,
        variance / fixed**2,
        shift / fixed,
        *(_UNKNOWN,) * 3,
        "1/width",
        _UNKNOWN,
    )


def _scale_invariant(slopes: tuple[float, float], weight_var: float) -> Criticality:
    p, q = 0.5 * (slopes[0] ** 2 + slopes[1] ** 2), 0.5 * (slopes[0] ** 4 + slopes[1] ** 4)
    c, chi = 3.0 * q / p**2 - 1.0, weight_var * p
    critical = abs(chi - 1.0) < _MARGINAL
    tangent = ((7.0 * c - 2.0) / 9.0, 0.0, (2.0 * c - 1.0) / 3.0) if critical else (_UNKNOWN, 0.0, _UNKNOWN)
    fixed = _UNKNOWN if critical else (0.0 if chi < 1.0 else math.inf)
    return Criticality("scale_invariant", fixed, chi, chi, c, 0.0, *tangent, "depth/width", 0.1 * 5.0 / max(c, 1e-300))


def _slope_at_zero(phi: Activation) -> float | None:
    """phi'(0) of an activation that is 0 and smooth there."""
    if phi.has_corner(0.0) or abs(float(values(phi, np.zeros(1))[0])) > 1e-12:
        return None
    return float(values_and_slopes(phi, np.zeros(1))[1][0])


def _is_odd(phi: Activation) -> bool:
    grid = np.linspace(0.1, 5.0, 50)
    return bool(np.allclose(values(phi, -grid), -values(phi, grid), rtol=1e-12, atol=1e-12))


def _decreasing(phi: Activation, weight_var: float) -> bool:
    small = np.array([1e-3])
    return bool(weight_var * single_entry_moments(phi, small).g.value[0] < small[0])


def _fixed_point(phi: Activation, weight_var: float, bias_var: float, start: float) -> float:
    """The limit of K' = bias_var + w g(K): its own steps, and Newton's method where it has nearly arrived; NaN or inf without limit."""
    variance = max(start, 10.0 * _VANISHED)  # from which it decreases where 0 attracts
    for step in range(200):
        if not _VANISHED < variance < LARGEST_STD**2:
            return 0.0 if variance <= _VANISHED else math.inf
        moments = single_entry_moments(phi, np.array([variance]))
        value = bias_var + weight_var * float(moments.g.value[0])
        chi = weight_var * float(moments.g.gradient[0, 0])
        change = value - variance
        if abs(change) <= 1e-15 * variance:
            break
        newton = step >= 10 and chi < 1.0 and abs(change) < 0.05 * variance * (1.0 - chi)
        variance += change / (1.0 - chi) if newton else change
    return variance if abs(change) <= 1e-6 * variance else math.nan
