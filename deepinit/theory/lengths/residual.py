"""Length distortion of residual blocks x + V relu(W x + b), exact at every width.

W, V Gaussian, n = width, K ~ Binomial(n_mid, 1/2), gamma Euler's constant. A block multiplies the
squared length independently by Q; given tau, T = 2 tau^2, r = 1 / (1 + T t):

    Q = ||e_1 + tau g||^2,   g ~ N(0, I_n),   tau^2 = (branch_var / n_mid) (hidden_var / n) chi^2_K,
    E e^{-tQ} = r^{n/2} e^{-tr},     E[Q^p e^{-tQ}] = E e^{-tQ} G_p,
    G_p = sum_{j<=p} binom(p, j) r^{2j} (T r)^{p-j} (n/2 + j) (n/2 + j + 1) ... (n/2 + p - 1),
    E Q^h    = int_0^inf t^{p-h-1} E[Q^p e^{-tQ}] dt / Gamma(p - h)
    E ln Q   = int_0^inf (e^{-t} - E e^{-tQ}) dt / t
    E ln^2 Q = -2 gamma E ln Q - 2 int_0^inf ln t (e^{-t} - E e^{-tQ}) dt / t

by trapezoidal sums over ln t and ln chi^2_K.
"""

import math
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.theory.lengths.log_moments import LogMoments
from deepinit.theory.numerics.gamma_functions import half_binomial
from deepinit.theory.numerics.homogeneous_layers import checked_moment
from deepinit.theory.numerics.layer_factors import exp

_STEP = 0.2  # in ln t: the integrands are analytic for |Im ln t| < pi/2, error e^{-pi^2 / step}
_LOG_T = _STEP * np.arange(-450, 451)


def residual_length_moment(
    width: int,
    mid_width: int,
    m: float = 1,
    *,
    branch_var: float = 1.0,
    hidden_var: float = 2.0,
    num_blocks: int = 1,
) -> float:
    """E ||J u||^m through residual blocks x + V relu(W x + b); m = 1: mean length.

    (E Q^{m/2})^num_blocks; m = 2: (1 + branch_var hidden_var / 2)^num_blocks. inf on overflow.

    Args:
        width, mid_width: of the residual stream and the branch.
        branch_var, hidden_var: variances times fan_in of V (fan_in mid_width) and W (width).

    Valid for: any input and tangent, symmetric or no biases; exact, relative error 1e-13 per block.
    """
    _check(width, mid_width, num_blocks)
    h = 0.5 * checked_moment(m)
    p = math.ceil(h + 0.5)  # t^{p-h}: between t^{1/2} and t^{3/2}
    scale, weights = _branch_nodes(width, mid_width, branch_var, hidden_var, h)
    t = np.exp(_LOG_T)[:, None]
    laplace = np.exp(_log_laplace(t, scale, width))
    integrand = (laplace * _tilted_moment(p, t, scale, width)) @ weights
    total = _STEP * float(np.exp((p - h) * _LOG_T) @ integrand) / math.gamma(p - h)
    return exp(num_blocks * math.log(total))


def residual_log_length_moments(
    width: int,
    mid_width: int,
    *,
    branch_var: float = 1.0,
    hidden_var: float = 2.0,
    num_blocks: int = 1,
) -> LogMoments:
    """Mean and variance of log ||J u||^2 through residual blocks, exact; p_alive is 1.

    Arguments and range: `residual_length_moment`; absolute error 1e-13 per block.
    """
    _check(width, mid_width, num_blocks)
    scale, weights = _branch_nodes(width, mid_width, branch_var, hidden_var)
    t = np.exp(_LOG_T)
    difference = np.exp(-t) - np.exp(_log_laplace(t[:, None], scale, width)) @ weights
    mean = _STEP * float(difference.sum())
    second = -2.0 * np.euler_gamma * mean - 2.0 * _STEP * float(_LOG_T @ difference)
    return LogMoments(num_blocks * mean, num_blocks * (second - mean * mean), 1.0)


def _log_laplace(t: Any, scale: Any, width: int) -> Any:
    """ln E[e^{-tQ} | tau], scale = T = 2 tau^2."""
    return -0.5 * width * np.log1p(scale * t) - t / (1.0 + scale * t)


def _tilted_moment(p: int, t: Any, scale: Any, width: int) -> Any:
    """G_p."""
    shrink = 1.0 / (1.0 + scale * t)
    spread, total = scale * shrink, np.zeros_like(shrink)
    for j in range(p + 1):
        rising = math.prod(0.5 * width + i for i in range(j, p))
        total = total + math.comb(p, j) * rising * shrink ** (2 * j) * spread ** (p - j)
    return total


def _branch_nodes(
    width: int, mid_width: int, branch_var: float, hidden_var: float, order: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Values of T and probabilities, for moments up to this order."""
    hidden = validate.not_negative("hidden_var", hidden_var)
    variance = validate.not_negative("branch_var", branch_var) / mid_width * hidden / width
    k, probabilities = half_binomial(mid_width, math.ceil(order))
    on = k > 0
    half = 0.5 * k[on, None]
    # half a standard deviation of ln(chi^2_k), and less
    step = min(0.2, 1.0 / math.sqrt(mid_width + 4.0 * order))
    far = 80.0 if mid_width <= 200 else 120.0 / math.sqrt(mid_width)
    # ln(chi^2_K / (n_mid / 2)), and its density for chi^2_k up to a factor
    x = step * np.arange(-math.ceil(far / step), math.ceil(min(far, 8.0) / step) + 1)
    log_density = half * x - 0.25 * mid_width * np.expm1(x)
    density = np.exp(log_density - log_density.max(axis=1, keepdims=True))
    mixture = (probabilities[on] / density.sum(axis=1)) @ density
    dead = np.array([0.5**mid_width])
    return np.append(2.0 * variance * 0.5 * mid_width * np.exp(x), 0.0), np.append(mixture, dead)


def _check(width: Any, mid_width: Any, num_blocks: Any) -> None:
    validate.integer("width", width, 1)
    validate.integer("mid_width", mid_width, 1)
    validate.integer("num_blocks", num_blocks)
