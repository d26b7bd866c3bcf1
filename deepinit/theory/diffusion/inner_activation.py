"""The double limit with an inner activation, x + phi(dW psi(x) + db).

From a Gaussian start (covariance 0: a fixed vector) coordinates stay independent, N(m, Sigma):

    m_i' = (b/2) (sigma_b^2 + sigma_w^2 E psi(x_i)^2),
    Sigma_ij' = a^2 (sigma_b^2 + sigma_w^2 E psi(x_i) psi(x_j)),
    Theta_ij' = Sigma_ij' + a^2 sigma_w^2 E psi'(x_i) psi'(x_j) Theta_ij.

The kernel is affine in the inner product only for psi = id and b = 0.
"""

from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
from deepinit.theory.diffusion.growth import (
    check_exponent,
    checked_variances,
    diffusion_constants,
    gram_matrix,
    growth_order,
    vector,
)
from deepinit.theory.diffusion.pairs import product_means
from deepinit.theory.diffusion.solver import integrated


class InnerLimit(NamedTuple):
    """m and Sigma of one coordinate, and tangent kernel Theta of all blocks, at the horizon."""

    mean: Float[np.ndarray, "N"]
    covariance: Float[np.ndarray, "N N"]
    block_kernel: Float[np.ndarray, "N N"]

    @property
    def overlap(self) -> Float[np.ndarray, "N N"]:
        """lambda = Sigma + m m."""
        return self.covariance + np.outer(self.mean, self.mean)


def inner_limit(
    activation: ActivationLike,
    inner: ActivationLike,
    covariance: Real[Array, "N N"] | Plain,
    weight_var: float,
    bias_var: float = 0.0,
    horizon: float = 1.0,
    mean: Real[Array, "N"] | Plain | None = None,
) -> InnerLimit:
    """Mean, covariance and tangent kernel of x + phi(dW psi(x) + db) in the double limit.

    Args:
        inner: psi, growing at most linearly; kinks are allowed.
        covariance, mean: of one coordinate at the start: sigma_Z^2 <z_i, z_j>, 0 after an
            embedding; 0, z for inputs z copied to all coordinates.

    Other arguments: `double_limit`. SpecError: phi(0) != 0, a kink of phi at 0, psi growing faster
    than linearly, a horizon beyond the explosion (b != 0 and linear growth). Valid for: Gaussian
    coordinates at the start; relative error about 1e-9. Finite networks with b != 0 and psi growing
    linearly explode with positive probability. Reference: arXiv:2007.03253, section 5.2
    (order parameters).
    """
    constants, psi = diffusion_constants(activation), not_superlinear(as_activation(inner))
    weight, bias, time = checked_variances(weight_var, bias_var, horizon)
    check_exponent(constants.slope**2 * weight * time)
    sigma = gram_matrix("covariance", covariance)
    size = len(sigma)
    start_mean = vector("mean", np.zeros(size) if mean is None else mean, size)
    a2, b = constants.slope**2, constants.curvature

    def rates(state: np.ndarray) -> np.ndarray:
        m, covariances, kernel = _unpack(state, size)
        products, slopes = product_means(psi, m, covariances)
        s = bias + weight * products
        return _pack(0.5 * b * np.diag(s), a2 * s, a2 * (s + weight * slopes * kernel))

    start = _pack(start_mean, sigma, np.zeros_like(sigma))
    _, moved, _ = _unpack(rates(start), size)
    roots = np.sqrt(start_mean**2 + np.abs(np.diag(sigma)) + time * np.diag(moved))
    sizes = _pack(roots, np.outer(roots, roots), np.outer(roots, roots))
    end = integrated(rates, start, time, sizes)
    return InnerLimit(*_unpack(end, size))


def not_superlinear(psi: Activation) -> Activation:
    """psi, or SpecError if it grows faster than linearly."""
    if growth_order(psi) > 1.0:
        given = f"{psi!r} inside a block, which grows like |x|^{growth_order(psi):g}"
        allowed = "inner activations that grow at most linearly, which do not explode"
        raise SpecError(given, allowed, "Take a bounded one (tanh, erf) or ReLU.")
    return psi


def _pack(mean: np.ndarray, covariance: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.concatenate([mean, covariance.ravel(), kernel.ravel()])


def _unpack(state: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrices = state[size:].reshape(2, size, size)
    return state[:size], matrices[0], matrices[1]
