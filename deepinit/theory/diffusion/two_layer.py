"""Infinitely many blocks with two layers, x + sqrt(dt) V phi(W x + b).

W_ij ~ N(0, sigma_1^2 / D), not shrinking, V_ij ~ N(0, sigma_2^2 / n). For every inner width n
lambda_ij' = sigma_2^2 E phi(u_i) phi(u_j), u ~ N(0, sigma_1^2 lambda + sigma_b1^2).
"""

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import bounded, check_exponent, checked_variances, gram_matrix
from deepinit.theory.diffusion.inner_activation import not_superlinear
from deepinit.theory.diffusion.pairs import product_means
from deepinit.theory.diffusion.solver import integrated
from deepinit.theory.numerics import LogNormal


def two_layer_limit(
    activation: ActivationLike,
    gram: Real[Array, "N N"] | Plain,
    weight_var: float,
    branch_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
) -> Float[np.ndarray, "N N"]:
    """Overlaps lambda_T of x + sqrt(dt) V phi(W x + b) in the double limit.

    Args:
        activation: phi, growing at most linearly (else SpecError); kinks and phi(0) != 0 are
            allowed.
        gram: <x_i, x_j> / D at the start.
        weight_var, bias_var: sigma_1^2, W has variance weight_var / D; sigma_b1^2, of b.
        branch_var: sigma_2^2, V has variance branch_var dt / n.

    Valid for: every inner width n; relative error about 1e-9.
    """
    phi = not_superlinear(as_activation(activation))
    weight, bias, time = checked_variances(weight_var, bias_var, horizon)
    branch = bounded("branch_var", branch_var, "V has variance branch_var * dt / inner width.")
    start = gram_matrix("gram", gram)
    mean = np.zeros(len(start))

    def rates(state: np.ndarray) -> np.ndarray:
        preactivations = bias + weight * state.reshape(start.shape)
        return branch * product_means(phi, mean, preactivations, slopes=False)[0].ravel()

    moved = np.diag(rates(start.ravel()).reshape(start.shape))
    ends = np.sqrt(np.abs(np.diag(start)) + time * moved)
    return integrated(rates, start.ravel(), time, np.outer(ends, ends).ravel()).reshape(start.shape)


def two_layer_log_mean_square_law(
    activation: ActivationLike,
    width: int,
    weight_var: float,
    branch_var: float,
    horizon: float = 1.0,
) -> LogNormal:
    """Law of log(q_T / q_0) of two-layer blocks without bias: N(kappa T (1 - 2/D), 4 kappa T / D).

    kappa = weight_var branch_var (l^2 + r^2) / 2 for slopes l, r of a positively homogeneous phi
    (else SpecError), by Ito's formula. Exact for depth -> infinity at fixed D and every inner
    width. Arguments: `two_layer_limit`.
    """
    phi = as_activation(activation)
    if phi.slopes is None:
        allowed = "positively homogeneous ones (ReLU, leaky ReLU, absolute value, linear)"
        raise SpecError(f"the activation {phi!r}", allowed, "Others: see `two_layer_limit`.")
    first = bounded("weight_var", weight_var, "W has variance weight_var / width.")
    second = bounded("branch_var", branch_var, "V has variance branch_var * dt / inner width.")
    mean_square_slope = 0.5 * (phi.slopes[0] ** 2 + phi.slopes[1] ** 2)
    exponent = mean_square_slope * first * second * bounded("horizon", horizon)
    check_exponent(exponent)
    d = validate.integer("width", width, 1)
    return LogNormal(exponent * (1.0 - 2.0 / d), 4.0 * exponent / d)
