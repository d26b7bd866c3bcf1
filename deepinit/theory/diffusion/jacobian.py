"""The input-output Jacobian of an infinitely deep linear diffusion, exact at every width.

For psi = id and phi''(0) = 0, g = J(x_T, x_0) is a matrix geometric Brownian motion, M2 = E
tr((g^T g)^2) / D, P = E (tr(g^T g) / D)^2:

    dg = a (sigma_w / sqrt(D)) dB g,    d(g^-1) = g^-1 (-a (sigma_w / sqrt(D)) dB + (kappa / D) dt),
    E g = I,  E g^T g = E g g^T = e^C I,  E (g^T g)^-1 = e^{C (1 + 2/D)} I,
    log det g ~ N(-C/2, C),   log |g v|^2 and log |g^T v|^2 ~ N(C (1 - 2/D), 4 C / D), |v| = 1,
    M2' = 2 kappa ((1 + 1/D) M2 + P),   P' = 2 kappa (P + (2 / D^2) M2),  M2 = P = 1 at 0.

At infinite width M2 = e^{2C} (1 + 2C). (The publication has e^{-C} I for E (g^T g)^-1 in between.)
The biases' tangent kernel is K_b = a^2 sigma_b^2 int |J(x_T, x_t)^T e_1|^2 dt. With gamma = 4
kappa / D

    Var K_b = 2 a^4 sigma_b^4 int_0^T e^{kappa u} (e^{gamma u} - 1)
              (e^{kappa T} - e^{kappa u}) / kappa du.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.linalg import expm

from deepinit.core import validate
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.typing import ActivationLike
from deepinit.theory.diffusion.growth import growth_of, without_curvature
from deepinit.theory.numerics import LogNormal

_NODES, _WEIGHTS = unit_rule(100)


class JacobianLaw(NamedTuple):
    """Exact statistics of g = dx_T / dx_0.

    Attributes:
        mean_square: E tr(g^T g) / D = E |g^T v|^2, |v| = 1, the growth of a backward gradient.
        inverse_mean_square: E tr((g^T g)^-1) / D.
        fourth, squared_trace: M2 = E tr((g^T g)^2) / D; P = E (tr(g^T g) / D)^2.
        log_det, log_square: laws of log det g, and of log |g v|^2 and log |g^T v|^2.
    """

    mean_square: float
    inverse_mean_square: float
    fourth: float
    squared_trace: float
    log_det: LogNormal
    log_square: LogNormal

    @property
    def relative_spread(self) -> float:
        """Relative variance of squared singular values, (M2 - P) / e^{2C}; 2C at infinite width."""
        return (self.fourth - self.squared_trace) / self.mean_square**2


def jacobian_law(
    activation: ActivationLike, width: int, weight_var: float, horizon: float = 1.0
) -> JacobianLaw:
    """Law of the Jacobian of x -> x_T at width D and infinite depth, psi = id.

    Relative error about 1e-13. J(x_T, x_t) has the law of horizon T - t. Arguments:
    `mean_square_moments`. SpecError: phi(0) or phi''(0) not 0, a kink at 0. Valid for:
    depth -> infinity at fixed width; linear networks of depth L have E tr(g^T g) / D = (1 + C/L)^L.
    Reference: arXiv:2007.03253, section 5 (equation of g).
    """
    growth = growth_of(without_curvature(activation).slope, weight_var, 0.0, horizon)
    d = validate.integer("width", width, 1)
    c = growth.exponent
    fourth, squared = expm(c * np.array([[2.0 + 2.0 / d, 2.0], [4.0 / d**2, 2.0]])) @ np.ones(2)
    return JacobianLaw(
        mean_square=math.exp(c),
        inverse_mean_square=math.exp(c * (1.0 + 2.0 / d)),
        fourth=float(fourth),
        squared_trace=float(squared),
        log_det=LogNormal(-0.5 * c, c),
        log_square=LogNormal(c * (1.0 - 2.0 / d), 4.0 * c / d),
    )


def bias_kernel_variance(
    activation: ActivationLike, width: int, weight_var: float, bias_var: float, horizon: float = 1.0
) -> float:
    """Variance over networks of K_b, the biases' tangent kernel of one output coordinate.

    Formula: module docstring. NTK parametrization: the mean is r (E - 1), equal for every pair of
    inputs. Arguments, errors and validity: `jacobian_law`.
    """
    growth = growth_of(without_curvature(activation).slope, weight_var, bias_var, horizon)
    gamma = 4.0 * growth.rate / validate.integer("width", width, 1)
    time = growth.horizon
    if gamma * time > 1.0:  # nothing cancels in the closed form
        total = 2.0 * growth.rate + gamma
        bracket = (math.expm1(total * time) / total - growth.mean_time) / (growth.rate + gamma)
        return growth.bias_rate**2 * (2.0 * bracket - growth.mean_time**2)
    u = time * _NODES  # exact for e^{(2 kappa + gamma) u} up to exponents of 200
    left = time - u
    ahead = np.exp(growth.rate * u) * left * _exp_ratio(growth.rate * left)
    integral = time * np.sum(_WEIGHTS * np.exp(growth.rate * u) * np.expm1(gamma * u) * ahead)
    return float(2.0 * growth.bias_rate**2 * integral)


def _exp_ratio(c: np.ndarray) -> np.ndarray:
    """(e^c - 1) / c, elementwise."""
    return np.where(c > 0.0, np.expm1(c) / np.where(c > 0.0, c, 1.0), 1.0)
