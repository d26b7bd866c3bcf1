"""The Bayesian linear model that an affine kernel stands for, in weight space.

y = alpha + beta . x + noise with alpha ~ N(0, intercept_var), beta_k ~ N(0, slope_var) has the kernel intercept_var + slope_var <x, x'>. With
the features Psi = [sqrt(intercept_var) 1, sqrt(slope_var) X] = U diag(s) V^T, standard normal weights w have

    E[w | y] = V diag(s / (s^2 + noise)) U^T y,    Cov[w | y] = 1 - V diag(s^2 / (s^2 + noise)) V^T.

Nothing is squared before it is inverted, so the limit noise -> 0 is in it: least squares with intercept where n > dimension, and interpolation
by the smallest weights where n <= dimension.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.inference.checks import checked_noise, checked_rows, checked_targets

_RANK_ROUNDING = 1e-13  # of the largest singular value, times the number of rows


class LinearPosterior(NamedTuple):
    """Posterior of the weights, and of the outputs at test inputs.

    Attributes:
        intercept: [outputs], posterior mean; a number if the targets came as [n].
        slopes: [dimension, outputs], or [dimension].
        weight_covariance: [dimension + 1, dimension + 1], of (intercept, slopes), the same for every output.
        mean: [m, outputs], or [m].
        variance: [m], of one output without observation noise.
        rank: of the features.
    """

    intercept: np.ndarray
    slopes: np.ndarray
    weight_covariance: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    rank: int


def linear_model(
    x_train: Any,
    targets: Any,
    x_test: Any,
    intercept_var: float,
    slope_var: float,
    noise: float = 0.0,
) -> LinearPosterior:
    """The posterior of intercept and slopes, and its predictions: those of `posterior` for the kernel intercept_var + slope_var <x, x'>.

    Formulas in the module docstring. For the completed residual network in the double limit take the two variances from
    `deepinit.theory.diffusion.linear_model` (there also for the tangent kernel, whose ratio is another).

    Args:
        x_train: [n, dimension].
        targets: [n] or [n, outputs], numbers.
        x_test: [m, dimension].
        intercept_var: sigma_alpha^2 >= 0.
        slope_var: sigma_beta^2 >= 0; not both 0.
        noise: variance of the observations >= 0; 0 is the limit of small noise.

    Returns:
        `LinearPosterior`; well conditioned for any n, the cost is that of one singular value decomposition [n, dimension + 1].

    Raises:
        SpecError: inputs or targets of other shapes, classes as targets, a negative variance.

    Valid for: affine kernels: psi = id and phi''(0) = 0.

    Reference: arXiv:2007.03253, sections 5 and 6.5, eq. (41); weight space: derivation in the module docstring.
    """
    train = checked_rows("x_train", x_train)
    test = checked_rows("x_test", x_test, train.shape[1])
    values, is_vector = checked_targets(targets, len(train))
    noise_var = checked_noise(noise)
    deviations = _prior_deviations(intercept_var, slope_var, train.shape[1])
    left, singular, right = np.linalg.svd(_features(train) * deviations, full_matrices=False)
    kept = singular > _RANK_ROUNDING * max(len(train), len(deviations)) * singular[0]
    left, singular, right = left[:, kept], singular[kept], right[kept]
    gains = singular / (singular**2 + noise_var)
    weights = deviations[:, None] * (right.T @ (gains[:, None] * (left.T @ values)))
    # 1 - V s^2/(s^2 + noise) V^T as a sum of positive parts: what the data leave of each direction, and directions they never see
    seen = right.T * np.sqrt(noise_var / (singular**2 + noise_var))
    unseen = np.eye(len(deviations)) - right.T @ right if len(singular) < len(deviations) else 0.0
    covariance = np.outer(deviations, deviations) * (seen @ seen.T + unseen)
    features = _features(test)
    mean = features @ weights
    variance = np.einsum("ij,jk,ik->i", features, covariance, features, optimize=True)
    if is_vector:
        weights, mean = weights[:, 0], mean[:, 0]
    return LinearPosterior(
        weights[0], weights[1:], covariance, mean, np.maximum(variance, 0.0), int(np.sum(kept))
    )


def _prior_deviations(intercept_var: Any, slope_var: Any, dimension: int) -> np.ndarray:
    intercept, slope = (
        checked_noise(intercept_var, "intercept_var"),
        checked_noise(slope_var, "slope_var"),
    )
    if intercept == 0.0 == slope:
        raise SpecError(
            "intercept_var = slope_var = 0",
            "one of them > 0",
            "Such a model predicts 0 everywhere.",
        )
    return np.sqrt(np.concatenate([[intercept], np.full(dimension, slope)]))


def _features(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
