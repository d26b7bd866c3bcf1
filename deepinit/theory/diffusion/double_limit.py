"""The double limit, infinite depth and width, of x + phi(dW x + db), psi = id.

s_ij = sigma_b^2 + sigma_w^2 lambda_ij, c_ij = lambda_ij - m_i m_j: m_i' = (b/2) s_ii,
q_i' = (b m_i + a^2) s_ii, c_ij' = a^2 s_ij. Given x_0 the coordinates are independent Gaussian:
mean x_0 + m_T - m_0, covariance c(T) - c(0). Tangent kernels for one coordinate: K_b' = a^2
sigma_b^2 + kappa K_b, K_W' = kappa (lambda + K_W).

    c(T) = E c(0) + r (E - 1) + int_0^T kappa e^{kappa (T-t)} m_i m_j dt
    K_W  = C E c(0) + r (C E - (E - 1)) + int_0^T kappa (1 + kappa (T-t)) e^{kappa (T-t)} m_i m_j dt
    K_b  = r (E - 1).

b = 0: lambda = lambda_0 E + r (E - 1), Theta = K_W + K_b = (lambda_0 + r) C E; the correlation
given x_0 depends neither on T nor on phi. b != 0: the kernel explodes and is not affine in <x_i,
x_j>. The published eq. (39) lacks the drift (b/2) s.
"""

from typing import NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import (
    DiffusionConstants,
    Growth,
    bounded_array,
    checked_variances,
    diffusion_constants,
    gram_matrix,
    growth_of,
    vector,
)
from deepinit.theory.diffusion.riccati import Riccati, check_horizon_before, panels


class DoubleLimit(NamedTuple):
    """Order parameters of N inputs at the horizon.

    Attributes:
        mean, overlap, covariance: m_T, lambda_T = <x_i, x_j> / D and c_T = lambda_T - m m.
        conditional_covariance: c_T - c_0, of one coordinate given the inputs.
        weight_kernel, bias_kernel: K_W and K_b, tangent kernels for one coordinate.
    """

    mean: Float[np.ndarray, "N"]
    overlap: Float[np.ndarray, "N N"]
    covariance: Float[np.ndarray, "N N"]
    conditional_covariance: Float[np.ndarray, "N N"]
    weight_kernel: Float[np.ndarray, "N N"]
    bias_kernel: float
    explosion_times: Float[np.ndarray, "N"]

    @property
    def block_kernel(self) -> Float[np.ndarray, "N N"]:
        """Theta = K_W + K_b."""
        return self.weight_kernel + self.bias_kernel

    @property
    def correlation(self) -> Float[np.ndarray, "N N"]:
        """Correlation of one coordinate given the inputs; nan without variance."""
        deviation = np.sqrt(np.diag(self.conditional_covariance))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.conditional_covariance / np.outer(deviation, deviation)


def double_limit(
    activation: ActivationLike,
    gram: Real[Array, "N N"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    mean: Real[Array, "N"] | Plain | None = None,
) -> DoubleLimit:
    """Mean, covariance and tangent kernels at the horizon, psi = id.

    Args:
        activation: phi with phi(0) = 0, smooth at 0.
        gram, mean: <x_i, x_j> / D at the start, and of each input's coordinates (None: 0); z z' and
            z for inputs z copied to all coordinates.
        weight_var, bias_var: a block's weights have variance weight_var dt / D, biases bias_var dt.
        horizon: depth * dt.

    SpecError: another phi, gram or gram - mean mean' not positive semidefinite, a horizon at or
    beyond an explosion time. Valid for: depth, width -> infinity in either order; error
    O(horizon / depth), see `depth_bias`; fluctuations O(kappa horizon / width); numerical error
    1e-13, larger near an explosion. For b != 0 finite networks explode with positive probability at
    every horizon. Reference: arXiv:2007.03253, propositions 18 and 19; cross-covariance: module
    docstring.
    """
    constants = diffusion_constants(activation)
    growth = growth_of(constants.slope, weight_var, bias_var, horizon)
    start, mean = check_start(gram, mean)
    systems = riccati_systems(constants, np.diag(start), mean, weight_var, bias_var)
    times = np.array([system.explosion_time() for system in systems])
    check_horizon_before(times, growth.horizon)
    mean_end, square_end = np.array([system.at(np.array(growth.horizon)) for system in systems]).T
    first = start - np.outer(mean, mean)
    drift, kernel_drift = _drift_integrals(systems, growth, mean)
    covariance = growth.factor * first + growth.bias_gain + drift
    weight = growth.exponent * growth.factor * first + growth.bias_weight_kernel + kernel_drift
    overlap = covariance + np.outer(mean_end, mean_end)
    np.fill_diagonal(overlap, square_end)  # the closed form of q
    conditional = growth.rate * growth.mean_time * first + growth.bias_gain + drift
    return DoubleLimit(mean_end, overlap, covariance, conditional, weight, growth.bias_gain, times)


def explosion_times(
    activation: ActivationLike,
    mean_squares: Real[Array, "N"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    mean: Real[Array, "N"] | Plain | None = None,
) -> Float[np.ndarray, "N"]:
    """Explosion time T* of q for each input in the double limit.

    With u_0 = b m_0 + a^2, A = b^2 (sigma_b^2 + sigma_w^2 q_0) - sigma_w^2 u_0^2, rho = sqrt(|A|),
    y = sigma_w u_0 / rho:

        A > 0: (pi - 2 atan(y)) / (sigma_w rho)
        A = 0: 2 / (sigma_w^2 u_0)
        A < 0: log((y + 1) / (y - 1)) / (sigma_w rho), y >= 1.

    Infinite for b = 0, for weight_var = 0, and for the input 0 without biases. Arguments:
    `double_limit`; mean_squares: q_0 = |x_i|^2 / D, at least mean^2. Finite networks explode before
    T* with a probability that vanishes with the width. Reference: arXiv:2007.03253, proposition 18;
    branches: `diffusion.riccati`.
    """
    constants = diffusion_constants(activation)
    weight, bias, _ = checked_variances(weight_var, bias_var, 0.0)
    squares = bounded_array("mean_squares", mean_squares)
    squares = vector("mean_squares", squares, squares.size)
    _, means = check_start(np.diag(squares), mean, with_means=False)
    if (squares < means**2 * (1.0 - 1e-9)).any():
        given = f"mean_squares={squares} for coordinate means {means}"
        raise SpecError(given, "mean_squares >= mean^2", "Check the inputs.")
    systems = riccati_systems(constants, squares, means, weight, bias)
    return np.array([system.explosion_time() for system in systems])


def check_start(
    gram: Real[Array, "N N"] | Plain,
    mean: Real[Array, "N"] | Plain | None,
    *,
    with_means: bool = True,
) -> tuple[Float[np.ndarray, "N N"], Float[np.ndarray, "N"]]:
    """Gram matrix and means; gram - mean mean^T is positive semidefinite."""
    start = gram_matrix("gram", gram)
    means = vector("mean", np.zeros(len(start)) if mean is None else mean, len(start))
    if with_means:
        gram_matrix("gram - mean mean^T", _without_rounding(start - np.outer(means, means), start))
    return start, means


def riccati_systems(
    constants: DiffusionConstants,
    squares: np.ndarray,
    mean: np.ndarray,
    weight_var: float,
    bias_var: float,
) -> list[Riccati]:
    """One equation per input."""
    return [
        Riccati(constants, weight_var, m, q, bias_var + weight_var * q)
        for m, q in zip(mean.tolist(), squares.tolist(), strict=True)
    ]


def _drift_integrals(
    systems: list[Riccati], growth: Growth, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Integrals with m_i m_j in c(T) and K_W."""
    rate, horizon = growth.rate, growth.horizon
    if horizon == 0.0 or rate == 0.0:
        nothing = np.zeros((len(mean), len(mean)))
        return nothing, nothing
    nodes, weights = panels(systems, horizon)
    means = np.array([system.at(nodes)[0] for system in systems])
    left = rate * (horizon - nodes)
    kernel = weights * rate * np.exp(left)
    return (means * kernel) @ means.T, (means * kernel * (1.0 + left)) @ means.T


def _without_rounding(difference: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """The difference, 0 where only rounding is left."""
    size = np.sqrt(np.abs(np.outer(np.diag(scale), np.diag(scale))))
    return np.where(np.abs(difference) <= 1e-12 * size, 0.0, difference)
