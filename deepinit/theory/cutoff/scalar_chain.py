"""Width-1 chain x_t = Q(phi(w_t x_{t-1})) in finite precision: exact survival P(x_t != 0).

|x_t| >= k rho where |phi(u)| >= (k - s) rho, s = 0 (truncation) or 1/2 (nearest):
first_k <= |u| <= last_k on either side of 0, u = w x (`cutoff.levels`). Symmetric w, T(u) = sum_k
P(|x| = k rho) P(w k rho > u) (`cutoff.tails`):

    P(|x_t| >= k rho) = sum over the two sides of T(first_k) - T(last_k).
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.typing import ActivationLike, Float
from deepinit.theory.cutoff.levels import Levels, largest_value, level_sets
from deepinit.theory.cutoff.tails import Tail, normal_tail, uniform_tail
from deepinit.theory.cutoff.validate import check_rounding, fixing_zero

_USUAL_STATES = 200_000  # where signals can grow without bound
_MOST_STATES = 20_000_000  # 2 GB
_SIGMAS = 38.6  # P(N(0,1) > 38.6) is 0 in float64


class ChainSurvival(NamedTuple):
    """Survival S(t) of the width-1 chain, t = 0..depth.

    escaped: summed probabilities of passing the largest state: bounds the error of S(t), too low
    for rising |phi|.
    """

    survival: Float[np.ndarray, "layers"]
    escaped: Float[np.ndarray, "layers"]


def scalar_survival(
    activation: ActivationLike,
    weight_law: Law,
    rho: float,
    rounding: str,
    depth: int,
    *,
    x0: float = 1.0,
    largest: float | None = None,
) -> ChainSurvival:
    """Survival S(t) = P(x_t != 0) of x_t = Q(phi(w_t x_{t-1})), width 1, exact.

    Args:
        activation: phi(0) = 0, |phi| rising and falling at most once on each side of 0.
        weight_law: `uniform` or `normal`, fan_in 1: U(-1, 1) is `uniform(1 / 3)`.
        rho, rounding: mesh in (0, 1); "truncate" or "nearest".
        x0: not 0; not rounded.
        largest: bound of |x|; larger values are set to it and counted in `escaped`. None: the range
            of the signal, at most max(200 000 rho, 4 |x0|).

    Valid for: absolute error 1e-12 plus `escaped`. Time O(1/rho) per layer: rho = 1e-6, |x| <= 1:
    0.05 s (uniform), 0.3 s (normal). Reference: arXiv:2104.10727 (figures: truncation, rho = 1e-3,
    x0 = 1).
    """
    phi = fixing_zero(activation)
    mesh, offset = validate.fraction("rho", rho), check_rounding(rounding)
    num_layers = validate.integer("depth", depth)
    start = abs(validate.real("x0", x0))
    validate.require(start, f"x0={x0!r}", "a finite number other than 0", "Omit it for x0=1.")
    scale = _weight_scale(weight_law)
    farthest = scale * (1.0 if weight_law.name == "uniform" else _SIGMAS)
    num_states = _num_states(phi, farthest, mesh, offset, num_layers, start, largest)
    survival, escaped = np.ones(num_layers + 1), np.zeros(num_layers + 1)
    if not num_states:
        survival[1:] = 0.0
        return ChainSurvival(survival, escaped)
    # one level more than states, for escapes; lowered by the rounding of a level
    levels = (mesh * (1.0 - 1e-14)) * (np.arange(1, num_states + 2) - offset)
    magnitudes = mesh * np.arange(1, num_states + 1)
    sides = level_sets(phi, levels, farthest * max(start, float(magnitudes[-1])))
    step = _reaching(weight_law, scale, np.array([start]), sides)
    masses, later = np.ones(1), _reaching(weight_law, scale, magnitudes, sides)
    for t in range(1, num_layers + 1):
        reached = step(masses)
        survival[t] = min(float(reached[0]), 1.0)
        escaped[t] = escaped[t - 1] + max(float(reached[-1]), 0.0)
        masses = -np.diff(reached)
        masses[-1] += reached[-1]
        step = later
    return ChainSurvival(survival, np.minimum(escaped, 1.0))


def _reaching(law: Law, scale: float, magnitudes: np.ndarray, sides: tuple[Levels, Levels]) -> Tail:
    """Function masses [k] -> P(next |x| reaches level j) [j]."""
    left, right = sides
    tail_of = uniform_tail if law.name == "uniform" else normal_tail
    if np.array_equal(left.first, right.first) and not np.isfinite([left.last, right.last]).any():
        one_side = tail_of(magnitudes, scale, right.first)
        return lambda masses: 2.0 * one_side(masses)
    ends = ((1.0, left.first), (-1.0, left.last), (1.0, right.first), (-1.0, right.last))
    tails = [(s, tail_of(magnitudes, scale, end)) for s, end in ends if np.isfinite(end).any()]
    return lambda masses: np.sum([sign * tail(masses) for sign, tail in tails], axis=0)


def _num_states(
    phi: Activation,
    farthest: float,
    mesh: float,
    offset: float,
    depth: int,
    start: float,
    largest: float | None,
) -> int:
    """Largest k reached in 1..depth, bounded by `largest` and memory."""
    if largest is not None:
        cap = math.floor(validate.positive("largest", largest, "Omit it.") / mesh + 1e-9)
        given = f"largest={largest!r} with rho={mesh:g}"
        validate.require(cap >= 1, given, "largest >= rho", "Omit it.")
    else:
        cap = max(_USUAL_STATES, math.ceil(4.0 * start / mesh))
    states, x = 0, start
    for _ in range(depth):
        reached = largest_value(phi, farthest * x) / mesh + offset
        k = cap if reached >= cap else math.floor(reached + 1e-9)
        if k <= states:
            break
        states, x = k, k * mesh
        if states == cap:
            break
    if states > _MOST_STATES:
        given = f"a lattice of {states:.3g} states (rho={mesh:g}, values to {states * mesh:.3g})"
        remedy = "Take a coarser mesh, or a smaller `largest`."
        raise SpecError(given, f"at most {_MOST_STATES:.0e} states", remedy)
    return states


def _weight_scale(law: Any) -> float:
    """Half width (uniform) or standard deviation (normal)."""
    if not isinstance(law, Law) or law.name not in ("uniform", "normal") or not law.variance > 0.0:
        remedy = "Write uniform(1 / 3) for U(-1, 1), normal(1.0) for N(0, 1); simulate other laws."
        raise SpecError(f"weight_law={law!r}", "a uniform or normal law of variance > 0", remedy)
    std = math.sqrt(law.entry_variance(1))
    return math.sqrt(3.0) * std if law.name == "uniform" else std
