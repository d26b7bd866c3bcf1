"""Critical initialization: norms, angles and gradients that do not grow with depth.

Infinite width; finite-width fluctuations are of order depth / width.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.reproducible import constant
from deepinit.core.typing import ActivationLike
from deepinit.theory.criticality.edge import (
    Edge,
    EdgePoint,
    edge_of_chaos,
    edge_point,
    root_between,
)
from deepinit.theory.criticality.moments import single_variance_moments
from deepinit.theory.criticality.origin import VANISHES, norm_decay, origin

# Beyond the largest, rounding of derivatives far from 0 (tanh: 1e-34) outweighs h ~ 1/sqrt(K).
_SMALLEST_FIXED_POINT, _LARGEST_FIXED_POINT = 1e-300, 1e100
_RESIDUAL = "residual branches scaled by 1/sqrt(depth) need no critical point"


class Critical(NamedTuple):
    """A critical initialization, or a point on the edge of chaos, of preactivation variance K.

    Attributes:
        weight_var, bias_var: between hidden layers, times fan_in.
        fixed_point: K*; 0 in zero_critical without `fixed_point=`, NaN in scale_invariant.
        kind: class of `critical`.
        chi_parallel: dK'/dK at K*.
        chi_perp: growth per layer of squared gradients and squared small angles; 1.
        first_weight_var: first-layer variance that maps mean square 1 to K*, with bias_var; divide
            by the inputs' mean square. None: weight_var serves.
        note: stability and remedies.
    """

    weight_var: float
    bias_var: float
    fixed_point: float
    kind: str
    chi_parallel: float
    chi_perp: float
    first_weight_var: float | None
    note: str


def critical(activation: ActivationLike, fixed_point: float | None = None) -> Critical:
    """Variances at which norms, angles and gradients do not change exponentially with depth.

    Classes, from g(K) = E phi(z)^2, h(K) = E phi'(z)^2 and g'(K), z ~ N(0, K), 1e-8 <= K <= 1e6:

    - scale_invariant (ReLU, leaky ReLU, absolute value, linear): 2 / (left^2 + right^2), no biases.
    - zero_critical (tanh, erf, sin, ELU, SELU, ReLU6): K* = 0, 2 / (phi'(0-)^2 + phi'(0+)^2), no
      biases; K decays as 1/l or 1/l^2.
    - half_stable (GELU, SiLU, Mish, hard swish): chi_parallel = chi_perp = 1 at K* > 0, attracting
      slowly from one side; `first_weight_var` sets the norm.
    - edge_unstable (softplus - log 2): only an edge, at `fixed_point` (None: 1); K repels.
    - edge_saturated (sigmoid): only an edge, above some K; K attracts.
    - none (softplus): no edge.

    Accurate to 1e-11; variances rounded to 12 or 13 digits, equal on every processor. Of several
    critical points the nearest to K = 1; `note` names the others.

    Args:
        fixed_point: K > 0, 1e-300 to 1e100, of the edge of chaos (chi_perp = 1, any chi_parallel);
            None: the critical point.

    Raises:
        SpecError: no such point (class none; edge_saturated without `fixed_point`; negative
            bias_var at `fixed_point`); moments of phi that do not converge; phi constant or with
            jumps.

    Valid for: infinite width, fully connected, independent entries, no normalization. Reference:
    arXiv:2106.10165, chapter 5 (classes, GELU and SiLU).
    """
    phi = as_activation(activation)
    edge = edge_of_chaos(phi)
    if fixed_point is not None:
        wanted = _fixed_point(fixed_point)
        if wanted > 0.0 or edge.kind != "zero_critical":
            return _edge_result(phi, edge, wanted)
    if edge.kind == "scale_invariant":
        weight = 1.0 / float(edge.moments.slope_square[len(edge.variances) // 2])
        note = "Every K is a fixed point, set by the first layer."
        return Critical(weight, 0.0, math.nan, edge.kind, 1.0, 1.0, None, note)
    if edge.kind == "zero_critical":
        weight = origin(phi).weight_var
        return Critical(weight, 0.0, 0.0, edge.kind, 1.0, 1.0, None, _zero_note(phi, edge))
    if edge.kind == "half_stable":
        point = edge.critical[0]
        return _result(point, edge.kind, _half_stable_note(phi, edge))
    if edge.kind == "edge_unstable":
        return _edge_result(phi, edge, 1.0)
    raise _no_point(phi, edge, f"critical({phi!r})")


class OtherSide(NamedTuple):
    """The fate of K on the repelling side of a half-stable K*.

    attracts_from: "above" or "below"; fixed_point, chi_perp: of the next one on the other
    side, in units of K*; 0 or inf, and NaN, if none.
    """

    attracts_from: str
    fixed_point: float
    chi_perp: float


def other_side(activation: ActivationLike, point: Critical | EdgePoint) -> OtherSide:
    """Attracting side of a half-stable `point`; fate of K on the repelling side."""
    phi, at = as_activation(activation), point.fixed_point
    distances = np.concatenate([[0.0], np.geomspace(1e-3, math.log(1e4), 80)])

    def change(variances: Any) -> np.ndarray:
        """K' - K, relative to its value at K*, 0."""
        square = single_variance_moments(phi, np.append(variances, at)).square
        return point.weight_var * (square[:-1] - square[-1]) - (np.asarray(variances) - at)

    above = at * np.exp(distances[1:])
    rises = bool(change(above)[0] > 0.0)  # to second order, so below K* as well
    side = above if rises else at * np.exp(-distances[1:])
    moves = change(side)
    turned = np.flatnonzero(np.isfinite(moves) & ((moves > 0.0) != rises))
    attracts_from = "below" if rises else "above"
    if not len(turned):
        return OtherSide(attracts_from, math.inf if rises else 0.0, math.nan)
    ends = sorted(side[turned[0] - 1 : turned[0] + 1])
    root = root_between(lambda k: float(change([k])[0]), *ends)
    return OtherSide(attracts_from, root / at, point.weight_var / edge_point(phi, root).weight_var)


def _result(point: EdgePoint, kind: str, note: str) -> Critical:
    weight, bias = constant(point.weight_var, 13), constant(point.bias_var, 12)
    first = constant(_first_share(point), 12)
    return Critical(weight, bias, point.fixed_point, kind, 1.0 + point.excess, 1.0, first, note)


def _first_share(point: EdgePoint) -> float:
    """K* - b = w g, without cancellation."""
    return point.weight_var * point.square if point.bias_var else point.fixed_point


def _edge_result(phi: Activation, edge: Edge, fixed_point: float) -> Critical:
    given = f"critical({phi!r}, fixed_point={fixed_point:.8g})"
    if fixed_point == 0.0:
        raise _no_point(phi, edge, given)
    point = edge_point(phi, fixed_point)
    if math.isnan(point.bias_var):
        least, most = edge.variances[0], edge.variances[-1]
        allowed = f"variances from {least:.3g} to {most:.3g}, at which its moments converge"
        raise SpecError(given, allowed, f"Scale the activation, or {_RESIDUAL}.")
    if point.bias_var < 0.0:
        given += f", where the bias variance would be {point.bias_var:.6g}"
        raise _no_point(phi, edge, given)
    chi = 1.0 + point.excess
    if edge.kind == "scale_invariant":
        note = "Every K is a fixed point."
    elif abs(point.excess) < 1e-9:
        note = "Deviations of K neither grow nor decay to first order."
    elif chi < 1.0:
        note = f"K attracts: a deviation is multiplied by {chi:.4g} in every layer."
    else:
        note = (
            f"Warning: norms run off. K repels: a deviation is multiplied by {chi:.4g} in every "
            f"layer; {_RESIDUAL}."
        )
    return _result(point, edge.kind, note)


def _zero_note(phi: Activation, edge: Edge) -> str:
    near = origin(phi)
    if math.isinf(near.power):
        decay = "K decays more slowly than any power of the depth l (small K are scale invariant)"
    elif near.deficit > 0.0:
        law = norm_decay(phi)
        power = "l" if law.power == 1.0 else f"l^{law.power:g}"
        decay = f"K decays as {law.constant:.4g} / {power} with the depth l"
    else:
        decay = "K decays to 0"
    text, point = f"{decay}.", edge_point(phi, 1.0)
    if point.bias_var >= 0.0 and point.excess < 0.0:
        text += (
            " For a norm that attracts take the edge of chaos at a K > 0, fixed_point=1: "
            f"{_edge_text(point, 10, 10)}."
        )
    return text + _others(edge.critical)


def _edge_text(point: EdgePoint, weight_digits: int, bias_digits: int) -> str:
    return (
        f"weight_var {point.weight_var:.{weight_digits}g}, bias_var "
        f"{point.bias_var:.{bias_digits}g}, chi_parallel {1.0 + point.excess:.3f}"
    )


def _half_stable_note(phi: Activation, edge: Edge) -> str:
    point = edge.critical[0]
    side = other_side(phi, point)
    away = "below" if side.attracts_from == "above" else "above"
    if math.isfinite(side.chi_perp):
        goes = f"goes to {side.fixed_point:.4f} K* (chi_perp {side.chi_perp:.4f})"
    else:
        goes = "runs off" if side.fixed_point else "goes to 0"
    every = abs(edge_point(phi, 2.0 * point.fixed_point).excess) < 1e-9
    choice = " Every K has a critical point: fixed_point= chooses it." if every else ""
    return (
        f"K* attracts from {side.attracts_from}; K from {away} {goes}.{choice} Both are slow, so "
        "the first layer must set the norm: by the variance first_weight_var / mean_square(inputs),"
        f" or by inputs of mean square {point.square:.6g} under weight_var."
        f"{_others(edge.critical[1:])}"
    )


def _others(points: tuple[EdgePoint, ...]) -> str:
    variances = ", ".join(f"{point.fixed_point:.6g}" for point in points)
    return f" Another critical point: fixed_point={variances}." if points else ""


def _no_point(phi: Activation, edge: Edge, given: str) -> SpecError:
    """Error with allowed K and a tested remedy."""
    allowed = "activations with a critical point, or a fixed_point with a bias variance >= 0"
    if edge.first is not None:
        least, weight = edge.first.fixed_point, edge.first.weight_var
        allowed = f"fixed_point >= {least:.8g} (weight_var {weight:.8g} there)"
    elif edge.kind == "edge_saturated":
        allowed = (
            f"any fixed_point > 0; {phi!r} has an edge of chaos at every K and no critical point"
        )
    elif edge.kind == "none":
        allowed += f"; {phi!r} has neither, the bias variance is negative at every K"
    else:
        allowed += f"; {phi!r} is of class {edge.kind}"
    value = origin(phi).value
    tried = edge.kind in ("none", "edge_saturated", "edge_unstable") and abs(value) > VANISHES
    remedies = [_shifted_remedy(phi, value)] if tried else []
    return SpecError(given, allowed, " ".join([*remedies, f"Else {_RESIDUAL}."]))


def _shifted_remedy(phi: Activation, value: float) -> str:
    shifted = edge_of_chaos(phi, value)
    text = f"Subtract phi(0): phi(x) - {value:.10g} is of class {shifted.kind}"
    if shifted.kind == "zero_critical":
        text += f", critical at weight_var {origin(phi, value).weight_var:.8g} without biases"
    elif shifted.kind == "half_stable":
        text += f", critical at fixed_point {shifted.critical[0].fixed_point:.8g}"
    elif shifted.kind == "edge_unstable":
        point = edge_point(phi, 1.0, value)
        text += f", with an edge at K = 1: {_edge_text(point, 8, 6)}"
    return text + "."


def _fixed_point(given: Any) -> float:
    remedy = "Write fixed_point=1.0 for the edge of chaos at unit variance; None: critical point."
    variance = validate.real("fixed_point", given, 0.0, _LARGEST_FIXED_POINT, remedy)
    validate.require(
        variance == 0.0 or variance >= _SMALLEST_FIXED_POINT,
        f"fixed_point={given!r}",
        f"0, or at least {_SMALLEST_FIXED_POINT:g}",
        remedy,
    )
    return variance
