"""Log marginal likelihood of a Gaussian process, in closed form for affine kernels.

log p(y) = -1/2 y^T K_y^{-1} y - 1/2 log det K_y - (n/2) log 2 pi, K_y = K + noise, summed over
outputs. K = alpha 1 1^T + beta X X^T, M = beta lambda + noise in the eigenbasis of X X^T
(Sherman-Morrison):
    a = 1^T M^{-1} 1,  b = 1^T M^{-1} y,  c = y^T M^{-1} y,  h = alpha / (1 + alpha a):
    y^T K_y^{-1} y = c - h b^2,    log det K_y = sum log M + log(1 + alpha a).
"""

from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.inference import validate as checks
from deepinit.inference.gaussian import factor

_LOG_TWO_PI = float(np.log(2.0 * np.pi))


class Spectrum(NamedTuple):
    """Inputs and targets in the eigenbasis of X X^T; last, of eigenvalue 0, the complement.

    `counts`: multiplicities: 1, last n - rank. `ones`, `targets`: squared components of the vector
    of ones, of the targets; `mixed`: components of ones times targets.
    """

    eigenvalues: Float[np.ndarray, "groups"]
    counts: Real[np.ndarray, "groups"]
    ones: Float[np.ndarray, "groups"]
    mixed: Float[np.ndarray, "groups outputs"]
    targets: Float[np.ndarray, "groups outputs"]
    num: int

    @property
    def num_outputs(self) -> int:
        """Number of independent outputs."""
        return self.targets.shape[1]


class Evidence(NamedTuple):
    """Log marginal likelihood in nats; `gradient` in (intercept_var, slope_var, noise)."""

    value: float
    gradient: Float[np.ndarray, "3"]


def log_marginal(
    kernel: Real[Array, "n n"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    noise: float = 0.0,
) -> float:
    """log p(y) in nats of targets under N(0, kernel + noise), summed over outputs.

    Args:
        kernel: NNGP kernel.
        targets: [n] or [n, outputs], numbers.
        noise: observation variance >= 0.

    Raises SpecError: as `posterior`.
    Valid for: O(n^3); affine kernels of many inputs: `linear_log_marginal`.
    Reference: arXiv 2007.03253, section 6.5.
    """
    from scipy import linalg

    matrix = checks.kernel("kernel", kernel)
    values, _ = checks.targets(targets, len(matrix))
    lower = factor("kernel", matrix, checks.variance("noise", noise))
    whitened = linalg.solve_triangular(lower, values, lower=True)
    log_det = 2.0 * float(np.sum(np.log(np.diag(lower))))
    return -0.5 * float(np.sum(whitened**2)) - 0.5 * values.shape[1] * (
        log_det + len(matrix) * _LOG_TWO_PI
    )


def spectrum(
    x: Real[Array, "n dimension"] | Plain, targets: Real[Array, "n *K"] | Plain
) -> Spectrum:
    """Data (x, targets) for `linear_log_marginal`, by one SVD.

    Raises SpecError: wrong shapes, class targets.
    """
    rows = checks.rows("x", x)
    values, _ = checks.targets(targets, len(rows))
    left, singular, _ = np.linalg.svd(rows, full_matrices=False)
    left = left[:, singular > checks.RANK_ROUNDING * max(rows.shape) * singular[0]]
    rank = left.shape[1]
    both = np.concatenate([np.ones((len(rows), 1)), values], axis=1)
    inside = left.T @ both
    outside = both - left @ inside
    if rank == len(rows):
        outside = np.zeros_like(outside)  # only rounding
    mixed = np.concatenate([inside[:, :1] * inside[:, 1:], [outside[:, 0] @ outside[:, 1:]]])
    squares = np.concatenate([inside**2, [np.sum(outside**2, axis=0)]])
    return Spectrum(
        np.append(singular[:rank] ** 2, 0.0),
        np.append(np.ones(rank), float(len(rows) - rank)),
        squares[:, 0],
        mixed,
        squares[:, 1:],
        len(rows),
    )


def linear_log_marginal(
    data: Spectrum, intercept_var: float, slope_var: float, noise: float
) -> Evidence:
    """log p(y) under the kernel intercept_var + slope_var <x, x'>, with gradient.

    1/2 alpha^T dK alpha - 1/2 tr(K_y^{-1} dK), alpha = K_y^{-1} y. Cost O(rank).

    Args:
        data: from `spectrum`.
        intercept_var, slope_var: >= 0.
        noise: observation variance; > 0 unless X has n independent rows and slope_var > 0.

    Raises SpecError: negative variances; a singular covariance.
    Reference: arXiv:2007.03253, section 6.5, eq. (41).
    """
    remedy = "Write data=di.inference.spectrum(x, targets), once for all variances."
    validate.instance("data", data, Spectrum, "di.inference.Spectrum", remedy)
    intercept = checks.variance("intercept_var", intercept_var)
    slope = checks.variance("slope_var", slope_var)
    noise_var = checks.variance("noise", noise)
    present = data.counts > 0
    diagonal = slope * data.eigenvalues[present] + noise_var
    if not np.all(diagonal > 0.0):
        rank = len(data.eigenvalues) - 1
        given = f"an affine kernel at {data.num} inputs of rank {rank} without noise"
        raise SpecError(given, "noise > 0", "1e-4 of the targets' mean square is a start.")
    counts, ones = data.counts[present], data.ones[present]
    inverse = 1.0 / diagonal
    a = float(inverse @ ones)
    b = inverse @ data.mixed[present]
    h = intercept / (1.0 + intercept * a)
    outputs = data.num_outputs
    quadratic = float(np.sum(inverse @ data.targets[present]) - h * np.sum(b**2))
    log_det = float(counts @ np.log(diagonal)) + float(np.log1p(intercept * a))
    value = -0.5 * quadratic - 0.5 * outputs * (log_det + data.num * _LOG_TWO_PI)
    squared = (
        data.targets[present] - 2.0 * h * b * data.mixed[present] + (h * b) ** 2 * ones[:, None]
    )
    fits = inverse**2 * np.sum(squared, axis=1)  # alpha^2, place by place
    traces = outputs * (counts * inverse - h * ones * inverse**2)
    by_intercept = 0.5 * float(np.sum(b**2)) / (1.0 + intercept * a) ** 2 - 0.5 * outputs * a / (
        1.0 + intercept * a
    )
    by_slope = 0.5 * float(data.eigenvalues[present] @ (fits - traces))
    by_noise = 0.5 * float(np.sum(fits - traces))
    return Evidence(value, np.array([by_intercept, by_slope, by_noise]))
