"""Moments of ln(|x_l| / |x_0|) in a homogeneous network, for any weight law.

Excess kurtosis k, m = 2 (l^4 + r^4) / (l^2 + r^2)^2 (linear 1, ReLU 2). h = W x of unit variance
has

    E h^4 = 3 + k S,      S = sum_j x_j^4 / (sum_j x_j^2)^2.

A layer of n neurons adds to the Gaussian mean (`cutoff.log_norm_drift`) - m k S / (4 n), to the
variance + m k S / (4 n). First layer: S of the input; later S_l = (3 m / n_l) (1 + O(1 / n_l)).
"""

from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.core.typing import Float
from deepinit.theory.cutoff.log_norm_drift import fourth_moment_ratio, log_norm_drift


class LogNormWalk(NamedTuple):
    """ln(|x_l| / |x_0|) of every input after layers 1..depth, over networks with a signal.

    is_exact: at every width (Gaussian and orthogonal weights).
    """

    mean: Float[np.ndarray, "layers inputs"]
    variance: Float[np.ndarray, "layers inputs"]
    is_exact: bool


def log_norm_propagation(spec: MLP, points: Float[np.ndarray, "inputs dimension"]) -> LogNormWalk:
    """Mean and variance of ln(|x_l| / |x_0|) through a homogeneous MLP without biases.

    The output layer is ignored. SpecError: an activation that is not homogeneous, biases, weights
    of variance 0, a point that is zero or not finite. Valid for: Gaussian and orthogonal weights,
    exact; independent symmetric ones with error O(1 / n_1^2) from the first layer, O(1 / n^3) from
    later ones, n >> m * excess kurtosis (sparse weights: n * density >> 3 m).
    """
    rows = _normalized_rows(spec, points)
    law = spec.weight_law
    assert law is not None
    assert spec.activation.slopes is not None
    kurtosis = 0.0 if law.is_haar else law.standardized_moment(4) - 3.0
    spread = fourth_moment_ratio(*spec.activation.slopes)
    share = np.sum(rows**4, axis=1) / np.sum(rows**2, axis=1) ** 2  # S
    means, variances = [], []
    for fan_in, width in spec.matrix_shapes(rows.shape[1]):
        entry_var = law.entry_variance(fan_in, spec.depth)
        sphere = max(fan_in, width) if law.is_haar else None
        gaussian = log_norm_drift(spec.activation, width, width * entry_var, sphere=sphere)
        excess = spread * kurtosis * share / (4.0 * width)
        means.append(gaussian.drift - excess)
        variances.append(gaussian.variance + excess)
        share = np.full(len(rows), 3.0 * spread / width)
    return LogNormWalk(np.cumsum(means, axis=0), np.cumsum(variances, axis=0), kurtosis == 0.0)


def _normalized_rows(spec: MLP, points: np.ndarray) -> np.ndarray:
    if not (isinstance(spec, MLP) and spec.is_homogeneous):
        allowed = (
            "an MLP with a homogeneous activation (linear, relu, leaky_relu, absolute), no bias"
        )
        raise SpecError(f"spec={spec!r}", allowed, "Simulate, or take the infinite width.")
    rows = validate.array("points", points, ("inputs", "dimension"))
    allowed = "rows [inputs, dimension] of positive norm"
    validate.require(rows.any(axis=1).all(), "points with a row that is 0", allowed, "Drop it.")
    return rows / np.max(np.abs(rows), axis=1, keepdims=True)
