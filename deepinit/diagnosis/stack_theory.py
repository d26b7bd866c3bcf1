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

RADIUS, NODES = 8.0, 4000  # midpoints: exact halves at a kink in 0


class StackTheory(NamedTuple):
    """Predictions for a stack.

    Attributes:
        gradient_slope: sum of ln chi, infinite width.
        stretch: of what the readout sees, infinite width, of displacements orthogonal to rows.
        gradient_spread: order 1/width, of one input; a batch spreads less.
        log_norm, log_gradient2: ln rms z^l, and ln |dL/dz^l|^2 up to its last value, [layers].
    """

    gradient_slope: float
    stretch: float
    gradient_spread: float
    log_norm: np.ndarray
    log_gradient2: np.ndarray


class Moments(NamedTuple):
    """E phi^2, E phi'^2, E phi'^4, E z phi phi' and E z^2 phi'^2 under N(0, variance)."""

    square: float
    slope_square: float
    slope_fourth: float
    growth: float
    slope_growth: float


def moments(activation: Any, variance: float) -> Moments:
    """By the midpoint rule, to 1e-3 at variances up to 1e4 (1e-2 with kinks off 0)."""
    step = 2 * RADIUS / NODES
    unit = -RADIUS + step * (np.arange(NODES) + 0.5)
    density = np.exp(-(unit**2) / 2) / math.sqrt(2 * math.pi) * step
    z = unit * math.sqrt(variance)
    with np.errstate(over="ignore", invalid="ignore"):
        phi, slope = np.asarray(activation(z)), np.asarray(activation.derivative(z))
        parts = (phi**2, slope**2, slope**4, z * phi * slope, (z * slope) ** 2)
        return Moments(*(float(np.sum(density * part)) for part in parts))


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


def mlp_theory(spec: Any, rows: Any) -> StackTheory | None:
    """Theory of a `di.MLP` at rows [n, width], whose states are h^l = phi(z^l).

    None of dependent weights. Widths may differ; laws are by their variances, `gradient_spread` is
    for Gaussian ones. `stretch` is that of the scores: u_a = x_(a+1) - x_a has a part along x_a,
    which grows by another factor. z and dz = J u are jointly normal, with K = E z^2, c = E z dz and
    d = E dz^2: then E (phi' dz)^2 = (c/K)^2 E (phi' z)^2 + (d - c^2/K) h. Rows of equal norms.
    """
    laws = (spec.weight_law, *(() if spec.bias_law is None else (spec.bias_law,)))
    if any(getattr(law, "is_haar", True) for law in laws):
        return None
    bias = 0.0 if spec.bias_law is None else spec.bias_law.entry_variance(1, spec.depth)
    x = np.asarray(rows, float)
    moved, square = np.roll(x, -1, axis=0) - x, float(np.mean(x**2))
    start = length = float(np.mean(moved**2))  # of one entry of J u
    along, size, fan_in = float(np.mean(x * moved)), square, x.shape[1]
    squares: list[float] = []
    chis, spread = [], 0.0
    for width in spec.widths:
        gain = fan_in * spec.weight_law.entry_variance(fan_in, spec.depth)
        variance = gain * size + bias
        at, shared = moments(spec.activation, variance), gain * along / variance
        chis.append(gain * width / fan_in * at.slope_square)  # of gradients, from h^l to h^(l-1)
        if squares and at.slope_square:
            spread += (3 * at.slope_fourth / at.slope_square**2 - 1) / width
        length = (
            shared**2 * at.slope_growth + (gain * length - shared**2 * variance) * at.slope_square
        )
        along, size, fan_in = shared * at.growth, at.square, width
        squares.append(size)
    with np.errstate(divide="ignore"):
        logs, log_norm = np.log(np.array(chis)), np.log(np.array(squares)) / 2
        stretch = float(np.log(length / size * square / start))
    gradients = np.append(np.cumsum(logs[:0:-1])[::-1], 0.0)
    return StackTheory(float(np.sum(logs[1:])), stretch, math.sqrt(spread), log_norm, gradients)
