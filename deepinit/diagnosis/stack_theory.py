"""Theory of stacks of equal layers: chi, norms, and the spread of gradients between networks.

z' = skip z + alpha (b + W phi(N z)), W of variance w / fan_in, N the identity or a normalization to
mean square 1. With K = E z^2, g = E phi(u)^2 and h = E phi'(u)^2 at the activation's input u:

    K'   = skip^2 K + alpha^2 (b + w g)
    chi  = s + a,  s = skip^2,  a = alpha^2 w h  (/ K behind a normalization)
    Var ln |dL/dz^1|^2 = sum over layers of (4 a s + a^2 c) / ((s + a)^2 n),
    c = 3 E phi'^4 / (E phi'^2)^2 - 1
"""

import math
from typing import Any, NamedTuple

import numpy as np

_RADIUS, _NODES = 8.0, 4000  # midpoints: exact halves at a kink in 0


class StackTheory(NamedTuple):
    """Predictions for a stack.

    Attributes:
        gradient_slope: sum of ln chi, infinite width.
        stretch: of what the readout sees, infinite width; inputs have mean square 1.
        gradient_spread: order 1/width, of one input; a batch spreads less.
        log_norm, log_gradient2: ln rms z^l, and ln |dL/dz^l|^2 up to its last value, [layers].
    """

    gradient_slope: float
    stretch: float
    gradient_spread: float
    log_norm: np.ndarray
    log_gradient2: np.ndarray


class Moments(NamedTuple):
    """E phi^2, E phi'^2 and E phi'^4 under N(0, variance)."""

    square: float
    slope_square: float
    slope_fourth: float


def moments(activation: Any, variance: float) -> Moments:
    """By the midpoint rule, to 1e-3 at variances up to 1e4 (1e-2 with kinks off 0)."""
    step = 2 * _RADIUS / _NODES
    unit = -_RADIUS + step * (np.arange(_NODES) + 0.5)
    density = np.exp(-(unit**2) / 2) / math.sqrt(2 * math.pi) * step
    z = unit * math.sqrt(variance)
    with np.errstate(over="ignore", invalid="ignore"):
        phi, slope = np.asarray(activation(z)), np.asarray(activation.derivative(z))
        return Moments(*(float(np.sum(density * f)) for f in (phi**2, slope**2, slope**4)))


def stack_theory(
    activation: Any,
    *,
    width: int,
    depth: int,
    weight: float,
    first: float,
    bias: float,
    skip: float = 0.0,
    alpha: float = 1.0,
    normalized: bool = False,
    mean_square: float = 1.0,
) -> StackTheory:
    """Theory of `depth` states z^1 .. z^depth; `mean_square` of the inputs.

    Valid for: independent weights; infinite width but for the spread, of order 1/width (depth/width
    below about 1). Not for BatchNorm's own backward pass, which couples rows.
    """
    variance = first * mean_square + bias
    norms, chis, spread = [variance], [], 0.0
    for _ in range(depth - 1):
        at = moments(activation, 1.0 if normalized else variance)
        through = alpha**2 * weight * at.slope_square / (variance if normalized else 1.0)
        chi = skip**2 + through
        excess = 3 * at.slope_fourth / at.slope_square**2 - 1 if at.slope_square else 0.0
        if chi:
            spread += (4 * through * skip**2 + through**2 * excess) / (chi**2 * width)
        variance = skip**2 * variance + alpha**2 * (bias + weight * at.square)
        norms.append(variance)
        chis.append(chi)
    last = moments(activation, 1.0 if normalized else variance)
    with np.errstate(divide="ignore"):
        logs = np.log(np.array(chis))
        slope = last.slope_square / (variance if normalized else 1.0)
        stretch = float(np.log(first * mean_square * slope / last.square) + np.sum(logs))
        log_norm = np.log(np.array(norms)) / 2
    gradients = np.append(np.cumsum(logs[::-1])[::-1], 0.0)
    return StackTheory(float(np.sum(logs)), stretch, math.sqrt(spread), log_norm, gradients)
