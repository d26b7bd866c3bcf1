"""Gaussian-process regression: posterior of a wide network, or a trained readout.

f ~ N(0, K), y = f + N(0, noise), K_* between test and training inputs:
    mean = K_* (K + noise)^{-1} y,    covariance = K_** - K_* (K + noise)^{-1} K_*^T.
Gradient flow on the readout alone (K = h h^T, frozen features h) converges to the same mean, noise
the weight decay; at noise = 0 also to the same covariance over initializations.
"""

from typing import NamedTuple

import numpy as np

from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.inference import validate as checks


class Posterior(NamedTuple):
    """Gaussian law of the independent outputs at test inputs.

    `mean`: [m] for targets [n]. `covariance`: of each output without observation noise.
    """

    mean: Float[np.ndarray, "m *outputs"]
    covariance: Float[np.ndarray, "m m"]

    @property
    def deviation(self) -> Float[np.ndarray, "m"]:
        """Standard deviations; negative rounding gives 0."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def posterior(
    kernel_train: Real[Array, "n n"] | Plain,
    kernel_cross: Real[Array, "m n"] | Plain,
    kernel_test: Real[Array, "m m"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    noise: float = 0.0,
) -> Posterior:
    """Gaussian-process posterior given training targets, by Cholesky in float64.

    Args:
        kernel_train: NNGP kernel K.
        kernel_cross: K_*, test inputs as rows.
        kernel_test: K_**.
        targets: [n] or [n, outputs], numbers; one-hot rows for classes.
        noise: observation variance >= 0. The mean loses the digits of (largest eigenvalue of
            K) / noise.

    Raises SpecError: wrong shapes; matrices not symmetric or positive semidefinite; class targets;
        a singular kernel without noise.
    Reference: arXiv 1711.00165, section 2.3; arXiv 2007.03253, section 6.3.
    """
    from scipy import linalg

    train = checks.kernel("kernel_train", kernel_train)
    cross = checks.cross_kernel("kernel_cross", kernel_cross, len(train))
    test = checks.kernel("kernel_test", kernel_test)
    checks.cross_kernel("kernel_cross", cross, len(train), len(test))
    values, is_vector = checks.targets(targets, len(train))
    lower = factor("kernel_train", train, checks.variance("noise", noise))
    half = linalg.solve_triangular(lower, cross.T, lower=True)
    mean = half.T @ linalg.solve_triangular(lower, values, lower=True)
    return Posterior(mean[:, 0] if is_vector else mean, test - half.T @ half)


def factor(name: str, kernel: Float[np.ndarray, "n n"], noise: float) -> Float[np.ndarray, "n n"]:
    """Lower Cholesky factor of kernel + noise.

    Raises SpecError: not positive semidefinite, or singular to rounding.
    """
    from scipy import linalg

    total = kernel + noise * np.eye(len(kernel))
    try:
        lower = linalg.cholesky(total, lower=True)
    except linalg.LinAlgError:
        raise checks.singular_error(name, linalg.eigvalsh(kernel), noise) from None
    # a pivot is at least the smallest eigenvalue: only small pivots need eigenvalues
    pivots = np.diag(lower) ** 2
    if np.min(pivots) < 1e3 * checks.RANK_ROUNDING * len(kernel) * np.max(np.diag(total)):
        eigenvalues = linalg.eigvalsh(total)
        if eigenvalues[0] < checks.RANK_ROUNDING * len(kernel) * eigenvalues[-1]:
            raise checks.singular_error(name, linalg.eigvalsh(kernel), noise)
    return lower
