"""Moments of order parameters, exact at any width: linear diffusions (psi = id, phi''(0) = 0).

With q = |x|^2 / D, l = lambda = <x_1, x_2> / D, s_ij = sigma_b^2 + sigma_w^2 lambda_ij, beta = a^2
sigma_b^2,

    dx_i = a (sigma_w / sqrt(D)) dB x_i + a sigma_b dB_b,
    dq = a^2 s dt + (2 a / sqrt(D)) sqrt(s q) dbeta,
    d[lambda] = (a^2/D) (s_11 q_2 + s_22 q_1 + 2 s_12 lambda) dt,
    E[q^k]'     = k (1 + 2 (k-1)/D) (beta E q^(k-1) + kappa E q^k)
    (E l^2)'    = 2 (1 + 1/D) (beta E l + kappa E l^2)
                  + (1/D) (beta E(q_1 + q_2) + 2 kappa E q_1 q_2)
    (E q_1q_2)' = beta E(q_1 + q_2) + 2 kappa E q_1 q_2 + (4/D) (beta E l + kappa E l^2).

Fluctuations are O(horizon / width) at every depth. Samples do not estimate high moments of q, which
is log-normal in size.

Linear networks of depth L: given x, h = a (dW x + db) has independent rows N(0, V),
V_ij = (beta + kappa lambda_ij) T / L; q' = |x + h|^2 / D is V/D times a noncentral chi-square of D
degrees of freedom with cumulants c_n, and E lambda' = lambda + V:

    c_n = 2^(n-1) (n-1)! (V^n + n q V^(n-1)) / D^(n-1),
    Cov(lambda_ij', lambda_kl')
        = (l_ik V_jl + l_il V_jk + l_jk V_il + l_jl V_ik + V_ik V_jl + V_il V_jk) / D.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import expm

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import (
    Growth,
    bounded,
    check_exponent,
    gram_matrix,
    growth_of,
    without_curvature,
)
from deepinit.theory.numerics import LogNormal


class OverlapMoments(NamedTuple):
    """E lambda_ij, E lambda_ij^2 (diagonal: E q_i^2) and E q_1 q_2 of two inputs at the horizon."""

    mean: Float[np.ndarray, "2 2"]
    second: Float[np.ndarray, "2 2"]
    square_product: float

    @property
    def variance(self) -> Float[np.ndarray, "2 2"]:
        """Var lambda_ij."""
        return self.second - self.mean**2


def mean_square_moments(
    activation: ActivationLike,
    width: int,
    mean_square: float,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    highest: int = 2,
    *,
    depth: int | None = None,
) -> Float[np.ndarray, "powers"]:
    """E q^k, k = 0, ..., highest, at the last block: q = |x|^2 / D, exact at width D.

    Args:
        activation: phi, smooth at 0, phi(0) = phi''(0) = 0 (tanh, erf, sin, linear).
        mean_square: q_0.
        weight_var, bias_var, horizon: as for `double_limit`.
        highest: 1 to 12.
        depth: of a linear network; None: infinite, an error O(horizon / depth), see `depth_bias`.

    SpecError: another phi; a depth with a phi that is not linear; moments beyond float64. Valid
    for: Gaussian weights and biases; relative error about 1e-13 (times log2(depth)).
    """
    growth, size, q = checked_start(activation, width, mean_square, weight_var, bias_var, horizon)
    validate.integer("highest", highest, 1, "2 gives the variance.", most=12)
    check_exponent(highest * (1.0 + 2.0 * (highest - 1) / size) * growth.exponent, most=600.0)
    with np.errstate(over="ignore", invalid="ignore"):
        start = q ** np.arange(highest + 1)
        if depth is None:
            moments = expm(growth.horizon * _square_system(growth, size, highest)) @ start
        else:
            step = _square_step(_block(activation, growth, depth), size, highest)
            moments = np.linalg.matrix_power(step, depth) @ start
    if not np.isfinite(moments).all():
        given = f"mean_square={mean_square:g}, bias_var={bias_var:g} and highest={highest}"
        remedy = "Scale both down by one factor: E q^k scales with its k-th power."
        raise SpecError(given, "numbers whose powers up to `highest` stay in float64", remedy)
    return moments


def overlap_moments(
    activation: ActivationLike,
    width: int,
    gram: Real[Array, "2 2"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    *,
    depth: int | None = None,
) -> OverlapMoments:
    """E lambda_ij, E lambda_ij^2 and E q_1 q_2 at the last block, exact at width D.

    The mean is lambda_0 E + r (E - 1); at depth L, E = (1 + C / L)^L. `gram`: <x_i, x_j> / D at the
    start; the rest as in `mean_square_moments`. Reference: arXiv:2007.03253, proposition 18
    (lacks 2 s_12 lambda).
    """
    growth, size, _ = checked_start(activation, width, 0.0, weight_var, bias_var, horizon)
    start = gram_matrix("gram", gram, size=2)
    (q1, overlap), (_, q2) = start
    if depth is None:
        propagator = expm(growth.horizon * _pair_system(growth, size))
    else:
        step = _pair_step(_block(activation, growth, depth), size)
        propagator = np.linalg.matrix_power(step, depth)
    at_start = np.array([1.0, q1, q2, q1**2, q2**2, overlap, overlap**2, q1 * q2])
    _, eq1, eq2, eq11, eq22, el, ell, eq12 = (propagator @ at_start).tolist()
    return OverlapMoments(
        np.array([[eq1, el], [el, eq2]]), np.array([[eq11, ell], [ell, eq22]]), eq12
    )


def log_mean_square_law(
    activation: ActivationLike, width: int, weight_var: float, horizon: float = 1.0
) -> LogNormal:
    """Law of log(q_T / q_0) without biases: N(kappa T (1 - 2/D), 4 kappa T / D), by Ito's formula.

    Exact for depth -> infinity at fixed width. Arguments and errors: `mean_square_moments`.
    """
    growth, size, _ = checked_start(activation, width, 0.0, weight_var, 0.0, horizon)
    return LogNormal(growth.exponent * (1.0 - 2.0 / size), 4.0 * growth.exponent / size)


def checked_start(
    activation: ActivationLike,
    width: int,
    mean_square: float,
    weight_var: float,
    bias_var: float,
    horizon: float,
) -> tuple[Growth, int, float]:
    """Rates, width and q_0 of a linear diffusion."""
    slope = without_curvature(activation).slope
    growth = growth_of(slope, weight_var, bias_var, horizon)
    size = validate.integer("width", width, 1)
    return growth, size, bounded("mean_square", mean_square, "It is |x|^2 / width.")


def _square_system(growth: Growth, width: int, highest: int) -> np.ndarray:
    """Generator on (1, q, ..., q^highest)."""
    order = np.arange(1, highest + 1)
    rates = order * (1.0 + 2.0 * (order - 1) / width)
    system = np.zeros((highest + 1, highest + 1))
    system[order, order - 1] = rates * growth.bias_rate
    system[order, order] = rates * growth.rate
    return system


def _square_step(block: Growth, width: int, highest: int) -> np.ndarray:
    """One linear block on (1, q, ..., q^highest), by cumulants."""
    q, noise = np.array([0.0, 1.0]), np.array([block.bias_rate, block.rate])
    powers = [np.ones(1)]
    for _ in range(highest):
        powers.append(np.convolve(powers[-1], noise))
    moments = [np.ones(1)]
    for k in range(1, highest + 1):
        moment = np.zeros(k + 1)
        for n in range(1, k + 1):
            scale = math.comb(k - 1, n - 1) * math.factorial(n - 1) * (2.0 / width) ** (n - 1)
            cumulant = powers[n] + n * np.convolve(q, powers[n - 1])
            moment += scale * np.convolve(cumulant, moments[k - n])
        moments.append(moment)
    return np.array([np.pad(moment, (0, highest + 1 - len(moment))) for moment in moments])


def _pair_system(growth: Growth, width: int) -> np.ndarray:
    """Generator on (1, q1, q2, q1^2, q2^2, l, l^2, q1 q2)."""
    k, beta, d = growth.rate, growth.bias_rate, float(width)
    system = np.zeros((8, 8))
    for first, second in ((1, 3), (2, 4)):
        system[first, [0, first]] = beta, k
        system[second, [first, second]] = 2.0 * (1.0 + 2.0 / d) * np.array([beta, k])
    system[5, [0, 5]] = beta, k
    double = 2 * (1 + 1 / d)
    system[6, [5, 6, 1, 2, 7]] = double * beta, double * k, beta / d, beta / d, 2 * k / d
    system[7, [1, 2, 7, 5, 6]] = beta, beta, 2 * k, 4 * beta / d, 4 * k / d
    return system


def _pair_step(block: Growth, width: int) -> np.ndarray:
    """One linear block on the vector of `_pair_system`."""
    b, gain, d = block.bias_rate, 1.0 + block.rate, float(width)
    cross, noise = b * gain, block.rate * (1.0 + gain)  # noise = gain^2 - 1
    constant = (1.0 + 2.0 / d) * b * b
    step = np.zeros((8, 8))
    step[0, 0] = 1.0
    for first, second in ((1, 3), (2, 4)):
        step[first, [0, first]] = b, gain
        step[second, [0, first, second]] = constant, (2 + 4 / d) * cross, gain**2 + 2 * noise / d
    step[5, [0, 5]] = b, gain
    step[6, [0, 1, 2, 5]] = constant, cross / d, cross / d, (2 + 2 / d) * cross
    step[6, [6, 7]] = gain**2 + noise / d, noise / d
    step[7, [0, 1, 2, 5, 6, 7]] = constant, cross, cross, 4 * cross / d, 2 * noise / d, gain**2
    return step


def _block(activation: Any, growth: Growth, depth: Any) -> Growth:
    """Rates of one block, times its length."""
    validate.integer("depth", depth, 1, "Leave it out for infinitely many blocks.")
    slopes = as_activation(activation).slopes
    if slopes is None or slopes[0] != slopes[1]:
        given = f"depth={depth} with the activation {as_activation(activation)!r}"
        remedy = "depth=None: infinite depth; `depth_bias` has the term of order 1 / depth."
        raise SpecError(given, "a linear activation at a finite depth", remedy)
    length = growth.horizon / depth
    return Growth(growth.rate * length, growth.bias_rate * length, length)
