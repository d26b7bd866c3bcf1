"""Exact moments of order parameters at any width, at infinite depth, for linear diffusions (psi = id, phi''(0) = 0).

    dx_i = a (sigma_w / sqrt(D)) dB x_i + a sigma_b dB_b,     q_i = |x_i|^2 / D, lambda = <x_1, x_2> / D, m = mean coordinate

Rows of B are independent, so that d[x_i, x_j] = a^2 s_ij I dt with s_ij = sigma_b^2 + sigma_w^2 lambda_ij, and by Ito

    dq = a^2 s dt + (2 a / sqrt(D)) sqrt(s q) dbeta,      d[lambda] = (a^2/D) (s_11 q_2 + s_22 q_1 + 2 s_12 lambda) dt,

Markov by themselves. Moments solve triangular linear systems (kappa = a^2 sigma_w^2, beta = a^2 sigma_b^2):

    E[q^k]'     = k (1 + 2 (k-1)/D) (beta E q^(k-1) + kappa E q^k)
    (E l^2)'    = 2 (1 + 1/D) (beta E l + kappa E l^2) + (1/D) (beta E(q_1 + q_2) + 2 kappa E q_1 q_2)
    (E q_1q_2)' = beta E(q_1 + q_2) + 2 kappa E q_1 q_2 + (4/D) (beta E l + kappa E l^2).

The published bracket of lambda lacks 2 s_12 lambda; it matters at finite width. Fluctuations are of order horizon / width,
whatever the depth: that is why the two limits commute. The moments of q are log-normal in size: do not estimate high ones
from samples.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import expm

from deepinit.core.checks import check_integer
from deepinit.core.errors import SpecError, refusal
from deepinit.theory.cutoff_input import check_width
from deepinit.theory.diffusion_activation import without_curvature
from deepinit.theory.diffusion_input import Growth, check_exponent, check_gram, check_size, growth_of


class PairMoments(NamedTuple):
    """First and second moments of the overlaps of two inputs at the horizon.

    Attributes:
        mean: [2, 2], E lambda_ij; the same at every width.
        second: [2, 2], E lambda_ij^2 (diagonal: E q_i^2).
        square_product: E q_1 q_2.
    """

    mean: np.ndarray
    second: np.ndarray
    square_product: float

    @property
    def variance(self) -> np.ndarray:
        """[2, 2], Var lambda_ij."""
        return self.second - self.mean**2


class LogNormal(NamedTuple):
    """A logarithm that is exactly Gaussian.

    Attributes:
        mean: of the natural logarithm.
        variance: of the natural logarithm.
    """

    mean: float
    variance: float


def mean_square_moments(
    activation: Any,
    width: int,
    mean_square: float,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    highest: int = 2,
) -> np.ndarray:
    """E q_T^k for k = 0, ..., highest, q = |x|^2 / D, exact at width D and infinite depth.

    Args:
        activation: phi with phi(0) = phi''(0) = 0 (tanh, erf, sin, linear, ...).
        width: D >= 1.
        mean_square: q_0 >= 0.
        weight_var: sigma_w^2; weights of a block have variance weight_var dt / D.
        bias_var: sigma_b^2; biases of a block have variance bias_var dt.
        horizon: T = depth * dt.
        highest: largest k, 1 to 12.

    Returns:
        [highest + 1], float64, to about 1e-13 relative.

    Raises:
        SpecError: phi(0) or phi''(0) not 0, a kink at 0, a negative variance, horizon or q_0, a bad width or order.

    Valid for: depth -> infinity at fixed width; at depth L the error is O(horizon / L), see `depth_bias`.

    Reference: derivation in the module docstring.
    """
    growth, size, q = checked_start(activation, width, mean_square, weight_var, bias_var, horizon)
    check_integer("highest", highest, 1, "2 gives the variance.")
    if highest > 12:
        raise SpecError(refusal(f"highest={highest}", "1 to 12", "The moments of a log-normal law say little there."))
    check_exponent(highest * (1.0 + 2.0 * (highest - 1) / size) * growth.exponent, most=600.0)
    with np.errstate(over="ignore", invalid="ignore"):
        found = expm(growth.horizon * _square_system(growth, size, highest)) @ q ** np.arange(highest + 1)
    if not np.isfinite(found).all():
        raise SpecError(
            refusal(
                f"mean_square={mean_square:g}, bias_var={bias_var:g} and highest={highest}",
                "numbers whose powers up to `highest` stay in float64",
                "Scale them down, both by one factor: E q^k scales with its k-th power.",
            )
        )
    return found


def overlap_moments(
    activation: Any, width: int, gram: Any, weight_var: float, bias_var: float = 0.0, horizon: float = 1.0
) -> PairMoments:
    """E lambda_ij, E lambda_ij^2 and E q_1 q_2 of two inputs at the horizon, exact at width D and infinite depth.

    Args:
        activation: phi with phi(0) = phi''(0) = 0.
        width: D >= 1.
        gram: [2, 2], <x_i, x_j> / D at the start.
        weight_var: sigma_w^2.
        bias_var: sigma_b^2.
        horizon: T.

    Returns:
        `PairMoments`, to about 1e-13 relative. The mean has no finite-width correction: lambda_0 E + r (E - 1).

    Raises:
        SpecError: as `mean_square_moments`; a gram matrix that is not symmetric positive semidefinite [2, 2].

    Valid for: depth -> infinity at fixed width.

    Reference: derivation in the module docstring; arXiv:2007.03253, proposition 18 (without 2 s_12 lambda).
    """
    growth, size, _ = checked_start(activation, width, 0.0, weight_var, bias_var, horizon)
    start = check_gram("gram", gram, size=2)
    (q1, overlap), (_, q2) = start
    k, beta, d = growth.rate, growth.bias_rate, float(size)
    # of (1, q1, q2, q1^2, q2^2, l, l^2, q1 q2)
    system = np.zeros((8, 8))
    for first, second in ((1, 3), (2, 4)):
        system[first, [0, first]] = beta, k
        system[second, [first, second]] = 2.0 * (1.0 + 2.0 / d) * np.array([beta, k])
    system[5, [0, 5]] = beta, k
    system[6, [5, 6, 1, 2, 7]] = 2 * (1 + 1 / d) * beta, 2 * (1 + 1 / d) * k, beta / d, beta / d, 2 * k / d
    system[7, [1, 2, 7, 5, 6]] = beta, beta, 2 * k, 4 * beta / d, 4 * k / d
    at_start = np.array([1.0, q1, q2, q1**2, q2**2, overlap, overlap**2, q1 * q2])
    _, eq1, eq2, eq11, eq22, el, ell, eq12 = (expm(growth.horizon * system) @ at_start).tolist()
    return PairMoments(np.array([[eq1, el], [el, eq2]]), np.array([[eq11, ell], [ell, eq22]]), eq12)


def log_mean_square_law(activation: Any, width: int, weight_var: float, horizon: float = 1.0) -> LogNormal:
    """log(q_T / q_0) without biases: exactly N(kappa T (1 - 2/D), 4 kappa T / D), kappa = phi'(0)^2 weight_var.

    Args:
        activation: phi with phi(0) = phi''(0) = 0.
        width: D >= 1.
        weight_var: sigma_w^2.
        horizon: T.

    Returns:
        Mean and variance of the natural logarithm.

    Raises:
        SpecError: as `mean_square_moments`.

    Valid for: depth -> infinity at fixed width, bias_var = 0.

    Reference: Ito's formula for log q, module docstring.
    """
    growth, size, _ = checked_start(activation, width, 0.0, weight_var, 0.0, horizon)
    return LogNormal(growth.exponent * (1.0 - 2.0 / size), 4.0 * growth.exponent / size)


def checked_start(
    activation: Any, width: Any, mean_square: Any, weight_var: Any, bias_var: Any, horizon: Any
) -> tuple[Growth, int, float]:
    """Rates, width and q_0 of a linear diffusion."""
    slope = without_curvature(activation).slope
    growth = growth_of(slope, weight_var, bias_var, horizon)
    return growth, check_width(width), check_size("mean_square", mean_square, "It is |x|^2 / width.")


def _square_system(growth: Growth, width: int, highest: int) -> np.ndarray:
    """The generator on (1, q, ..., q^highest)."""
    order = np.arange(1, highest + 1)
    rates = order * (1.0 + 2.0 * (order - 1) / width)
    system = np.zeros((highest + 1, highest + 1))
    system[order, order - 1] = rates * growth.bias_rate
    system[order, order] = rates * growth.rate
    return system
