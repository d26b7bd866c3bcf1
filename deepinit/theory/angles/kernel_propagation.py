"""Norms and angle of two inputs through a random MLP, to first order in 1/width.

State s = (mean of ln |a|^2/n and ln |b|^2/n, their difference, eta), eta = ln tan^2(angle / 2). A
layer of mean F(s) + c(s)/n and covariance D(s)/n (`angles.kernel_layer`) gives m' = F(m) + (1/2)
F''(m) : V + c(m) / n, V' = F'(m) V F'(m)^T + D(m) / n. Close inputs are magnified to keep their
digits. Moments of ln sin^2 are for a normal eta.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP
from deepinit.core.typing import Float
from deepinit.theory.angles.distances import log_distance2_moments
from deepinit.theory.angles.kernel_layer import (
    LOG_NORMS,
    expand,
    layer_map,
    log_norms,
    magnification,
    mean_and_difference,
    propagate,
)

# Of a logarithmic coordinate: a factor of e^2 either way. No expansion about the mean holds beyond.
_LARGEST_VARIANCE = 4.0

VALID_FOR = (
    "independent Gaussian weights and Gaussian (or no) biases; sum of 1/width small; activations "
    "without jumps; inputs that are not collinear. Other independent weight laws have a further "
    "term of the same order, excess kurtosis / width, which is left out; in the first layer it is "
    "excess kurtosis times sum x^4 / (sum x^2)^2, 1 along an axis. NaN from the layer on "
    "where the predicted variance of ln |a|^2 or of ln tan^2(angle/2) exceeds 4: no expansion "
    "about the mean holds there."
)


class InputGram(NamedTuple):
    """Norms x.x / n_0 and angle in [0, pi] of a pair of inputs.

    dimension: n_0, only for a weight law of `absolute` scaling; log_ratio: ln(norm2_b / norm2_a),
    accurate for close pairs, None: from both norms.
    """

    norm2_a: float
    norm2_b: float
    angle: float
    dimension: int | None = None
    log_ratio: float | None = None


class KernelWalk(NamedTuple):
    """Mean and variance over networks of post-activations, layers 1..depth.

    log_norm2, log_distance2: of ln |a|^2/n and ln |b|^2/n, and of ln |a - b|^2/n; state: of
    (ln |a|^2/n, ln |b|^2/n, ln tan^2(angle/2)).
    """

    log_sin2_mean: Float[np.ndarray, "layers"]
    log_sin2_variance: Float[np.ndarray, "layers"]
    log_norm2_mean: Float[np.ndarray, "layers 2"]
    log_norm2_variance: Float[np.ndarray, "layers 2"]
    state_mean: Float[np.ndarray, "layers 3"]
    state_covariance: Float[np.ndarray, "layers 3 3"]
    log_distance2_mean: Float[np.ndarray, "layers"]
    log_distance2_variance: Float[np.ndarray, "layers"]


def kernel_propagation(spec: MLP, gram: InputGram | tuple[float, float, float]) -> KernelWalk:
    """Norms and angle of a pair through an MLP, to first order in 1/width.

    First metric: G = bias_var + weight_var (x.x, x.x', x'.x') / n_0. The output layer is ignored.
    Numerical error 1e-7; NaN where first order fails. SpecError: orthogonal weights, non-Gaussian
    biases, `absolute` scaling without the input dimension, collinear inputs with collinear images.
    Valid for: `VALID_FOR`; error O(r^2), r = sum 1/width. Relative errors of covariances: 0.3 r
    (tanh, ReLU) to 2.5 r (GELU). Second order, without bias: `angles.propagation`. Reference:
    arXiv:2106.10165, chapter 4 (metric).
    """
    gram = InputGram(*gram)
    _check(spec, gram)
    mean, covariance = _input_state(gram), np.zeros((3, 3))
    fan_in = gram.dimension
    state_mean = np.full((spec.depth, 3), np.nan)
    state_covariance = np.full((spec.depth, 3, 3), np.nan)
    log_distance2 = np.full((2, spec.depth), np.nan)
    for index, width in enumerate(spec.widths):
        layer, factor = layer_map(spec, fan_in), magnification(mean)
        scales, offset = np.array([1.0, factor, 1.0]), np.array([0.0, 0.0, 2.0 * math.log(factor)])
        mean, covariance = scales * mean + offset, covariance * np.outer(scales, scales)
        limit, shift, noise = expand(layer, mean)
        curvature, spread = propagate(layer, mean, covariance, limit)
        mean = (limit + curvature + shift / width - offset) / scales
        covariance = (spread + noise / width) / np.outer(scales, scales)
        state = LOG_NORMS @ covariance @ LOG_NORMS.T
        if not np.diag(state).max() <= _LARGEST_VARIANCE:
            break
        state_mean[index], state_covariance[index] = log_norms(mean), state
        log_distance2[:, index] = log_distance2_moments(mean, covariance)
        fan_in = width
    log_sin2_mean, log_sin2_variance = _log_sin2_of_eta(state_mean[:, 2], state_covariance[:, 2, 2])
    variances = np.diagonal(state_covariance, axis1=1, axis2=2)
    return KernelWalk(
        log_sin2_mean,
        log_sin2_variance,
        state_mean[:, :2],
        variances[:, :2],
        state_mean,
        state_covariance,
        *log_distance2,
    )


def log_sin2_kernel_walk(
    spec: MLP, inputs: Inputs
) -> tuple[Float[np.ndarray, "layers pairs"], Float[np.ndarray, "layers pairs"]]:
    """Mean and variance of ln sin^2 of the angle of every pair, as `kernel_propagation`."""
    walks = [kernel_propagation(spec, gram) for gram in input_grams(inputs)]
    shape = (spec.depth, len(walks))
    mean = np.array([walk.log_sin2_mean for walk in walks]).T.reshape(shape)
    return mean, np.array([walk.log_sin2_variance for walk in walks]).T.reshape(shape)


def input_grams(inputs: Inputs) -> tuple[InputGram, ...]:
    """The `InputGram` of every pair."""
    bases = inputs.points[list(inputs.bases)]
    first, second = np.mean(bases**2, axis=1), np.mean(inputs.partners**2, axis=1)
    growth = np.mean(inputs.displacements * (bases + inputs.partners), axis=1)
    is_close = np.abs(growth) < 0.5 * first
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # a zero row: `kernel_propagation` refuses it
        ratios = np.where(is_close, np.log1p(growth / first), np.log(second / first))
    return tuple(
        InputGram(float(a), float(b), float(angle), inputs.dimension, float(ratio))
        for a, b, angle, ratio in zip(first, second, inputs.angles, ratios, strict=True)
    )


def _log_sin2_of_eta(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments of ln sin^2 for a normal eta."""
    nodes, weights = normal_rule()
    eta = mean[:, None] + np.sqrt(variance)[:, None] * nodes
    values = math.log(4.0) - np.abs(eta) - 2.0 * np.log1p(np.exp(-np.abs(eta)))
    average = np.sum(weights * values, axis=1)
    return average, np.sum(weights * (values - average[:, None]) ** 2, axis=1)


def _input_state(gram: InputGram) -> np.ndarray:
    half = math.tan(0.5 * gram.angle)
    eta = 2.0 * math.log(half) if half > 0.0 else -math.inf
    state = mean_and_difference(math.log(gram.norm2_a), math.log(gram.norm2_b), eta)
    state[1] = state[1] if gram.log_ratio is None else gram.log_ratio
    return state


def _check(spec: MLP, gram: InputGram) -> None:
    ok = all(0.0 < norm < math.inf for norm in gram[:2]) and 0.0 <= gram.angle <= math.pi
    allowed = "positive mean squares and an angle in [0, pi]"
    validate.require(ok, f"the inputs {gram}", allowed, "Take inputs that are not zero.")
    law, bias_law = spec.weight_law, spec.bias_law
    assert law is not None
    if law.variance == 0.0:
        raise SpecError("weights of variance 0", "a positive variance", "No weights, no angle.")
    if law.name == "orthogonal":
        remedy = "Their 1/width terms differ: simulate this spec."
        raise SpecError("orthogonal weights", "weight laws with independent entries", remedy)
    if bias_law is not None and not bias_law.is_gaussian:
        remedy = "Other biases make the preactivations non-Gaussian at any width."
        raise SpecError(f"the bias law {bias_law.name!r}", "'normal', or no bias", remedy)
    if law.scaling == "absolute" and gram.dimension is None:
        given = "an absolute weight variance without the input dimension"
        raise SpecError(given, "InputGram(..., dimension=n_0)", "It scales the first layer.")
