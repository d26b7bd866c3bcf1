"""Mean map and critical gains of the rounded tanh chain at infinite width.

With h = mean square / rho^2, alpha = A sqrt(h) and s = 0 (truncation) or 1/2 (nearest):

    h' = v(A sqrt(h)),
    v(alpha) = sum_{(k - s) rho < 1} (2k - 1) erfc(artanh((k - s) rho) / (rho alpha sqrt 2)),
    A_ex^2 = inf_alpha alpha^2 / v(alpha): least gain with a positive fixed point,
    A_lat^2 = inf_alpha alpha^2 / m(alpha), m = lim v (rho -> 0): least gain on any mesh.

Truncation: A_lat = 1, A_ex = 1 + 3 (rho / (2 sqrt(2 pi)))^(2/3) + ... Nearest:
A_lat = 0.86630335...
"flush": v(alpha) = E[tanh(rho alpha g)^2; |tanh(rho alpha g)| >= rho] / rho^2.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.special import erfc

from deepinit.core import validate
from deepinit.core.gauss_legendre import normal_panels
from deepinit.core.typing import Float
from deepinit.theory.cutoff.validate import check_rounding

_GRID = 200  # points per decade of alpha
_FARTHEST = 28.0  # erfc(28) is 0 in float64
_MOST_LEVELS = 100_000  # beyond: Euler-Maclaurin
_FARTHEST_NORMAL = 38.6  # the normal density is 0 in float64


class LatticeThresholds(NamedTuple):
    """Critical gains of the rounded tanh chain at infinite width.

    lattice_gain: A_lat, below it the signal dies on every mesh; existence_gain: A_ex(rho), from it
    on life times are exponential in the width; lattice_alpha, existence_alpha: minimizers, in units
    of the mesh, inf for A_lat of truncation.
    """

    lattice_gain: float
    lattice_alpha: float
    existence_gain: float
    existence_alpha: float


def lattice_thresholds(rho: float, rounding: str) -> LatticeThresholds:
    """Critical gains A_lat and A_ex(rho) of the infinitely wide rounded tanh chain.

    Mesh rho in (0, 1), rounding "truncate" or "nearest"; relative error 1e-12. Between A_lat and
    A_ex the orbit goes to 0 too. Valid for: no biases, independent centred weights, N to infinity
    at fixed mesh. Reference: arXiv:2608.15914 (nearest); module docstring (truncation).
    """
    mesh, offset = validate.fraction("rho", rho), check_rounding(rounding)
    existence, at = _infimum(lambda alpha: rounded_mean_square(alpha, mesh, rounding), 20.0 / mesh)
    if offset == 0.0:
        return LatticeThresholds(1.0, math.inf, existence, at)
    # beyond alpha = 3: m = alpha^2 + 1/12 to 1e-70, and alpha^2 / m rises to 1
    lattice, lattice_at = _infimum(_linear_mean_square, 10.0)
    return LatticeThresholds(lattice, lattice_at, existence, at)


def rounded_mean_square(alpha: float, rho: float, rounding: str) -> float:
    """Mean map v(alpha) = E[Q(tanh(rho alpha g))^2] / rho^2, g ~ N(0, 1).

    alpha: standard deviation of the preactivations over rho in (0, 1); rounding "truncate",
    "nearest" or "flush". Relative error 1e-14; above 100 000 levels (Euler-Maclaurin) at most rho.
    """
    mesh, flushes = validate.fraction("rho", rho), rounding == "flush"
    offset = 0.0 if flushes else check_rounding(rounding)
    alpha = validate.not_negative("alpha", alpha, "It is gain * sqrt(h).")
    if alpha == 0.0:
        return 0.0
    if flushes:
        return _moment(alpha, mesh, math.atanh(mesh) / (mesh * alpha), 2)
    scale = alpha * math.sqrt(2.0)
    # artanh(y) >= y: levels beyond _FARTHEST * scale contribute nothing
    highest = min(math.floor((1.0 - 1e-14) / mesh + offset), math.ceil(_FARTHEST * scale + 1.0))
    if highest > _MOST_LEVELS:
        first, square = (_moment(alpha, mesh, 0.0, power) for power in (1, 2))
        if rounding == "nearest":
            return square + 1.0 / 12.0
        return square - first + 1.0 / 3.0 - math.sqrt(2.0 / math.pi) / (12.0 * alpha)
    k = np.arange(1, highest + 1, dtype=np.float64)
    k = k[(k - offset) * mesh < 1.0 - 1e-14]
    return float(np.sum((2.0 * k - 1.0) * erfc(np.arctanh((k - offset) * mesh) / (mesh * scale))))


def rounded_orbit(
    gain: float, rho: float, rounding: str, depth: int, mean_square: float = 1.0
) -> Float[np.ndarray, "layers"]:
    """Mean squares h_{t+1} = v(A sqrt(h_t)) of the infinitely wide rounded tanh chain.

    Gain A > 0, h_0 = mean_square / rho^2, mean_square |x_0|^2 / N > 0; else as
    `rounded_mean_square`. At width N the signal dies around the first t with h_t < 1 / log N, in a
    bounded window. Relative error 1e-14 per layer. Reference: arXiv:2608.15914 (nearest).
    """
    a, mesh = validate.positive("gain", gain), validate.fraction("rho", rho)
    if rounding != "flush":
        check_rounding(rounding)
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    orbit = [start / mesh**2]
    for _ in range(validate.integer("depth", depth)):
        orbit.append(rounded_mean_square(a * math.sqrt(orbit[-1]), mesh, rounding))
    return np.array(orbit)


def _moment(alpha: float, mesh: float, least: float, power: int) -> float:
    """Truncated absolute moment of tanh(rho alpha g) / rho, by Gauss-Legendre."""
    std = mesh * alpha
    if least > _FARTHEST_NORMAL:
        return 0.0
    bend = min(20.0 / std, _FARTHEST_NORMAL)
    panels = max(40, math.ceil(4.0 * (bend - least) * min(std, 1.0)))
    near = np.linspace(least, max(bend, least), 1 + panels)
    far = np.linspace(near[-1], _FARTHEST_NORMAL, 80)
    edges = np.unique(np.concatenate([near, far]))
    g, weights = normal_panels(edges, 16)
    return float(2.0 * np.sum(weights * (np.tanh(std * g) / mesh) ** power))


def _linear_mean_square(alpha: float) -> float:
    """m(alpha), rounding to nearest: sum_k (2k - 1) erfc((k - 1/2) / (alpha sqrt 2))."""
    k = np.arange(1, math.ceil(_FARTHEST * alpha * math.sqrt(2.0)) + 2, dtype=np.float64)
    return float(np.sum((2.0 * k - 1.0) * erfc((k - 0.5) / (alpha * math.sqrt(2.0)))))


def _infimum(mean_square: Any, largest: float) -> tuple[float, float]:
    """(A, alpha) of A^2 = inf alpha^2 / v(alpha), alpha <= largest."""
    from scipy.optimize import minimize_scalar

    def log_ratio(log_alpha: float) -> float:
        square = mean_square(math.exp(log_alpha))
        return 2.0 * log_alpha - math.log(square) if square > 0.0 else math.inf

    grid = np.linspace(math.log(0.1), math.log(largest), round(_GRID * math.log10(largest / 0.1)))
    best = int(np.argmin([log_ratio(point) for point in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)])
    optimum = minimize_scalar(log_ratio, bounds=bounds, method="bounded", options={"xatol": 1e-9})
    return math.exp(0.5 * optimum.fun), math.exp(optimum.x)
