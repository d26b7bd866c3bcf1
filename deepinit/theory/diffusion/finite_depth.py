"""Residual networks of finite depth: coefficients of 1 / depth, and linear networks exactly.

Infinite width, psi = id, b = phi''(0) = 0, c = phi'''(0), s = sigma_b^2 + sigma_w^2 lambda,
S = s0_ii + s0_jj, blocks of length dt = T / L; with the error of Euler's rule, up to O(L^-2):

    E phi(u) phi(v) = a^2 s_ij dt + (a c / 2) (s_ii + s_jj) s_ij dt^2 + O(dt^3),
    E phi'(u) phi'(v) = a^2 + (a c / 2) (s_ii + s_jj) dt + O(dt^2),
    lambda^(L) - lambda = (T/L) e_lambda,    Theta^(L) - Theta = (T/L) e_Theta,
    e_lambda = (a c / 2) S s0_ij E (E - 1) / kappa - (kappa a^2 / 2) s0_ij T E,
    e_Theta  = E s0_ij {(a c / 2) S [(E - 1)/kappa - T + T E] - a^2 (C + C^2/2)}.

tanh: 3.5 % of q at depth 500, q = 4 at the start; extrapolate in 1 / depth. Linear networks, any
width: E x_{l+1} x_{l+1}^T = E x_l x_l^T + dt E s I.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import Growth, gram_matrix, growth_of, without_curvature


class DepthBias(NamedTuple):
    """Coefficients e_lambda, e_Theta of 1 / L: multiply by horizon / depth and add to the limit."""

    overlap: Float[np.ndarray, "N N"]
    block_kernel: Float[np.ndarray, "N N"]


class LinearNetwork(NamedTuple):
    """Means of a linear residual network, exact at every width and depth.

    overlap: E <x_i, x_j> / D at the last layer; block_kernel: tangent kernel for one coordinate,
    shares weight_kernel and bias_kernel; jacobian_mean_square: E tr(g^T g) / D.
    """

    overlap: Float[np.ndarray, "N N"]
    block_kernel: Float[np.ndarray, "N N"]
    weight_kernel: Float[np.ndarray, "N N"]
    bias_kernel: float
    jacobian_mean_square: float


def depth_bias(
    activation: ActivationLike,
    gram: Real[Array, "N N"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
) -> DepthBias:
    """Coefficients of 1/L of overlaps and tangent kernels, against infinite depth.

    phi smooth at 0, phi(0) = phi''(0) = 0 (else SpecError). Valid for: psi = id, width -> infinity;
    odd phi, or inputs whose coordinates have mean 0 (else a fourth derivative moves mean and
    overlap by O(1/L)).
    """
    constants = without_curvature(activation)
    a, c = constants.slope, constants.third
    growth = growth_of(a, weight_var, bias_var, horizon)
    start = bias_var + weight_var * gram_matrix("gram", gram)
    sizes = np.diag(start)[:, None] + np.diag(start)[None, :]
    exponent, factor, time = growth.exponent, growth.factor, growth.horizon
    cubic = 0.5 * a * c * sizes
    overlap = start * factor * (cubic * growth.mean_time - 0.5 * growth.rate * a**2 * time)
    kernel_time = growth.mean_time + time * math.expm1(exponent)
    kernel = factor * start * (cubic * kernel_time - a**2 * exponent * (1.0 + 0.5 * exponent))
    return DepthBias(overlap, kernel)


def linear_network(
    gram: Real[Array, "N N"] | Plain,
    depth: int,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
) -> LinearNetwork:
    """Overlaps and tangent kernels of x + dW x + db, exact means at every width and depth.

        E lambda = (lambda_0 + r) (1 + C/L)^L - r,    Theta = (lambda_0 + r) C (1 + C/L)^{L-1},
        K_b = r ((1 + C/L)^L - 1),    K_W = Theta - K_b,    C = weight_var T.

    Arguments: `double_limit`. Valid for: phi = psi = id, any centred law of these variances.
    """
    growth: Growth = growth_of(1.0, weight_var, bias_var, horizon)
    validate.integer("depth", depth, 1, "Give at least one block.")
    start, c = gram_matrix("gram", gram), growth.exponent
    log_step = math.log1p(c / depth)
    gain = math.expm1(depth * log_step)
    bias_gain = growth.bias_rate * growth.horizon * (gain / c if c else 1.0)
    before = math.exp((depth - 1) * log_step)
    kernel = (c * start + growth.bias_rate * growth.horizon) * before
    return LinearNetwork(
        start + gain * start + bias_gain, kernel, kernel - bias_gain, bias_gain, 1.0 + gain
    )
