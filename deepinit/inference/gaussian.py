"""Gaussian-process regression: the Bayesian posterior of a wide network, which is also what training the readout alone gives.

With f ~ N(0, K) and y = f + N(0, noise) on the training inputs, K_* the kernel between test and training inputs,

    mean = K_* (K + noise)^{-1} y,    covariance = K_** - K_* (K + noise)^{-1} K_*^T.

Training only the readout of a network with frozen features h, K = h h^T, by gradient flow from weights drawn from the prior gives the same
mean, in the limit of time, with noise as the weight decay; and at noise = 0 the same covariance over initializations.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.inference.checks import (
    RANK_ROUNDING,
    cannot_solve,
    checked_cross,
    checked_kernel,
    checked_noise,
    checked_targets,
)


class Posterior(NamedTuple):
    """Law of the outputs at test inputs; several outputs are independent and share the covariance.

    Attributes:
        mean: [m, outputs], or [m] if the targets came as [n].
        covariance: [m, m], of one output without observation noise.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @property
    def deviation(self) -> np.ndarray:
        """[m], standard deviations; rounding below 0 counts as 0."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


def posterior(
    kernel_train: Any, kernel_cross: Any, kernel_test: Any, targets: Any, noise: float = 0.0
) -> Posterior:
    """The Gaussian posterior of a wide network given training targets: Bayes, and the weakly trained network.

    Formulas in the module docstring, by Cholesky factors in float64.

    Args:
        kernel_train: [n, n], NNGP kernel K of the training inputs.
        kernel_cross: [m, n], K_*, of test inputs (rows) with training inputs.
        kernel_test: [m, m], K_**.
        targets: [n] or [n, outputs], numbers: one-hot rows for classes.
        noise: variance >= 0 of the observations, in the units of the targets squared.

    Returns:
        `Posterior`. The residual of the solve is at rounding; the mean loses the digits of (K's largest eigenvalue) / noise.

    Raises:
        SpecError: matrices of other shapes, not symmetric or not positive semidefinite; classes as targets; negative noise; a kernel
            of lower rank than its size without noise (the message says the rank).

    Valid for: infinite width, any kernel; the network's outputs as the likelihood's mean, Gaussian observations.

    Reference: arXiv 1711.00165, section 2.3 (Bayesian inference with the NNGP); arXiv 2007.03253, section 6.3.
    """
    from scipy import linalg

    train = checked_kernel("kernel_train", kernel_train)
    cross = checked_cross("kernel_cross", kernel_cross, len(train))
    test = checked_kernel("kernel_test", kernel_test)
    checked_cross("kernel_cross", cross, len(train), len(test))
    values, is_vector = checked_targets(targets, len(train))
    lower = factor("kernel_train", train, checked_noise(noise))
    half = linalg.solve_triangular(lower, cross.T, lower=True)
    mean = half.T @ linalg.solve_triangular(lower, values, lower=True)
    return Posterior(mean[:, 0] if is_vector else mean, test - half.T @ half)


def factor(name: str, kernel: np.ndarray, noise: float) -> np.ndarray:
    """Lower Cholesky factor of kernel + noise.

    Raises:
        SpecError: it has none, or its pivots are rounding: not positive semidefinite, or singular.
    """
    from scipy import linalg

    total = kernel + noise * np.eye(len(kernel))
    try:
        lower = linalg.cholesky(total, lower=True)
    except linalg.LinAlgError:
        raise cannot_solve(name, linalg.eigvalsh(kernel), noise) from None
    # a pivot is at least the smallest eigenvalue, so small pivots only raise the question that eigenvalues answer
    pivots = np.diag(lower) ** 2
    if np.min(pivots) < 1e3 * RANK_ROUNDING * len(kernel) * np.max(np.diag(total)):
        eigenvalues = linalg.eigvalsh(total)
        if eigenvalues[0] < RANK_ROUNDING * len(kernel) * eigenvalues[-1]:
            raise cannot_solve(name, linalg.eigvalsh(kernel), noise)
    return lower
