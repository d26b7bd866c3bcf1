"""Bayesian linear regression for an affine kernel, in weight space.

y = alpha + beta . x + noise, alpha ~ N(0, intercept_var), beta_k ~ N(0, slope_var); features
[sqrt(intercept_var) 1, sqrt(slope_var) X] = U diag(s) V^T, standard normal weights w:
    E[w | y] = V diag(s / (s^2 + noise)) U^T y,    Cov[w | y] = 1 - V diag(s^2 / (s^2 + noise)) V^T.
noise -> 0: least squares with intercept for n > dimension, minimum-norm interpolation for
n <= dimension.
"""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.inference import validate as checks


class LinearPosterior(NamedTuple):
    """Posterior of the weights, and of the outputs at test inputs.

    `intercept`, `slopes`, `mean`: posterior means, without the axis of outputs for targets [n].
    `weight_covariance`: [dimension + 1] squared, of (intercept, slopes). `variance`: without
    observation noise. `rank`: of the features.
    """

    intercept: Float[Like, "*outputs"]
    slopes: Float[np.ndarray, "dimension *outputs"]
    weight_covariance: Float[np.ndarray, "weights weights"]
    mean: Float[np.ndarray, "m *outputs"]
    variance: Float[np.ndarray, "m"]
    rank: int


def linear_model(
    x_train: Real[Array, "n dimension"] | Plain,
    targets: Real[Array, "n *outputs"] | Plain,
    x_test: Real[Array, "m dimension"] | Plain,
    intercept_var: float,
    slope_var: float,
    noise: float = 0.0,
) -> LinearPosterior:
    """Posterior for the kernel intercept_var + slope_var <x, x'>, by one SVD.

    Well conditioned for any n. Variances of residual networks in the double limit:
    `deepinit.theory.diffusion.linear_model`.

    Args:
        targets: [n] or [n, outputs], numbers.
        intercept_var, slope_var: >= 0; not both 0.
        noise: observation variance >= 0; 0 is the limit.

    Raises SpecError: wrong shapes, class targets, a negative variance.
    Valid for: affine kernels: psi = id and phi''(0) = 0.
    Reference: arXiv:2007.03253, sections 5 and 6.5, eq. (41).
    """
    train = checks.rows("x_train", x_train)
    test = checks.rows("x_test", x_test, train.shape[1])
    values, is_vector = checks.targets(targets, len(train))
    noise_var = checks.variance("noise", noise)
    deviations = _prior_deviations(intercept_var, slope_var, train.shape[1])
    left, singular, right = np.linalg.svd(_features(train) * deviations, full_matrices=False)
    large = singular > checks.RANK_ROUNDING * max(len(train), len(deviations)) * singular[0]
    left, singular, right = left[:, large], singular[large], right[large]
    gains = singular / (singular**2 + noise_var)
    weights = deviations[:, None] * (right.T @ (gains[:, None] * (left.T @ values)))
    # 1 - V s^2/(s^2 + noise) V^T as a sum of positive parts: directions of the data, and the others
    seen = right.T * np.sqrt(noise_var / (singular**2 + noise_var))
    unseen = np.eye(len(deviations)) - right.T @ right if len(singular) < len(deviations) else 0.0
    covariance = np.outer(deviations, deviations) * (seen @ seen.T + unseen)
    features = _features(test)
    mean = features @ weights
    variance = np.einsum("ij,jk,ik->i", features, covariance, features, optimize=True)
    if is_vector:
        weights, mean = weights[:, 0], mean[:, 0]
    return LinearPosterior(
        weights[0], weights[1:], covariance, mean, np.maximum(variance, 0.0), int(np.sum(large))
    )


def _prior_deviations(intercept_var: Any, slope_var: Any, dimension: int) -> np.ndarray:
    intercept = checks.variance("intercept_var", intercept_var)
    slope = checks.variance("slope_var", slope_var)
    if intercept == 0.0 == slope:
        raise SpecError("intercept_var = slope_var = 0", "one of them > 0")
    return np.sqrt(np.concatenate([[intercept], np.full(dimension, slope)]))


def _features(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(rows), 1)), rows], axis=1)
