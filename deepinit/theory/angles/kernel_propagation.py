"""Two inputs through any random MLP to first order in 1/width: the walk of norms and angle, layer by layer.

Given layer l, the preactivation pairs of layer l + 1 are i.i.d. Gaussian with covariance

    G = bias_var + weight_var / n_l * (a.a, a.b, b.b),      a, b the post-activations of layer l,

so that the state s = (ln |a|^2/n, ln |b|^2/n, eta), eta = ln tan^2(angle / 2) of the post-activations, is a Markov chain. One
layer of n neurons maps s to a random state of mean F(s) + c(s)/n and covariance D(s)/n (`numerics.delta_method`), F being the
infinite-width map. Laws of total mean and covariance, with F expanded to second order about the mean m:

    m' = F(m) + (1/2) F''(m) : V + c(m) / n,        V' = F'(m) V F'(m)^T + D(m) / n.

With V = sum_k lambda_k e_k e_k^T only derivatives along the e_k occur: (1/2) sum_k lambda_k (e_k . d)^2 F and
sum_k lambda_k (e_k . d F)(e_k . d F)^T, by central differences of fourth order. With biases F varies with the difference of the two
log-norms on the scale of the angle, since det G contains (|a| - |b|)^2 beside |a| |b| angle^2; that difference itself fluctuates by a multiple of
the angle. The walk is therefore followed in (mean of the log-norms, their difference, eta), the e_k are eigenvectors where the difference is
divided by the angle, and angles too small for the difference to keep its digits are magnified together with it: close inputs move as if linearly.

The state never meets ln sin^2 itself, whose inverse is singular and two-valued at a right angle: ln sin^2 is a function of
eta, and its mean and variance are those of that function of a normal eta.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule
from deepinit.core.inputs import Inputs
from deepinit.core.specs import MLP
from deepinit.theory.angles.distances import log_distance2_moments
from deepinit.theory.numerics.delta_method import PairFrame, state_expansion
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame

# Fourth-order central differences: truncation step^4/30 F^(5) and step^4/90 F^(6), about 1e-7 and 1e-8 for states that vary
# on the scale 1; rounding 1e-14 / step^2 = 1e-11.
_STEP = 0.03

# Pairs closer than this are magnified to it (error: its square), unless their log-norms would then differ by more than the second number.
_SMALLEST_ANGLE, _LARGEST_DIFFERENCE = 1e-4, 1e-2

# (ln |a|^2/n, ln |b|^2/n, eta) to (mean, difference, eta)
_MEAN_AND_DIFFERENCE = np.array([[0.5, 0.5, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
_LOG_NORMS = np.array([[1.0, -0.5, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])  # its inverse

# Variance of a logarithmic coordinate beyond which an expansion about its mean says nothing: a factor of e^2 either way.
_LARGEST_VARIANCE = 4.0

VALID_FOR = (
    "independent Gaussian weights and Gaussian (or no) biases; sum of 1/width small; activations without jumps; inputs that "
    "are not collinear. Other independent weight laws add a term of the same order, excess kurtosis / width, through "
    "preactivations that are not Gaussian, which is left out. NaN from the layer on where the predicted variance of ln |a|^2 or of "
    "ln tan^2(angle/2) exceeds 4: no expansion about the mean holds there."
)


class InputGram(NamedTuple):
    """A pair of inputs as the first layer sees it.

    Attributes:
        norm2_a, norm2_b: x.x / n_0, the mean square of the coordinates of each input.
        angle: between the inputs, in [0, pi].
        dimension: n_0, needed only for a weight law whose scaling is `absolute`.
        log_ratio: ln(norm2_b / norm2_a), where it is known to relative accuracy (close pairs); None takes it from both.
    """

    norm2_a: float
    norm2_b: float
    angle: float
    dimension: int | None = None
    log_ratio: float | None = None


class KernelWalk(NamedTuple):
    """Mean and variance over networks of the post-activations of layers 1..depth, to first order in 1/width.

    Attributes:
        log_sin2_mean, log_sin2_variance: [layers], of ln sin^2 of the angle between the post-activations.
        log_norm2_mean, log_norm2_variance: [layers, 2], of ln |a|^2/n and ln |b|^2/n.
        state_mean: [layers, 3], of (ln |a|^2/n, ln |b|^2/n, ln tan^2(angle/2)).
        state_covariance: [layers, 3, 3].
        log_distance2_mean, log_distance2_variance: [layers], of ln |a - b|^2/n.
    """

    log_sin2_mean: np.ndarray
    log_sin2_variance: np.ndarray
    log_norm2_mean: np.ndarray
    log_norm2_variance: np.ndarray
    state_mean: np.ndarray
    state_covariance: np.ndarray
    log_distance2_mean: np.ndarray
    log_distance2_variance: np.ndarray


def kernel_walk(spec: MLP, gram: InputGram | tuple[float, float, float]) -> KernelWalk:
    """Norms and angle of one pair of inputs through an MLP of any activation, to first order in 1/width.

    The recursion of the module docstring, started from the deterministic first metric
    G = bias_var + weight_var * (x.x, x.x', x'.x') / n_0. Noise enters with the width of the layer that is produced; the input
    dimension does not enter. As all widths grow the means tend to the infinite-width (NNGP) values, the variances to 0.

    Args:
        spec: the network; biases must be Gaussian and weights independent (not orthogonal). The output layer is ignored.
        gram: the inputs: mean squares of their coordinates, and their angle.

    Returns:
        `KernelWalk`, float64; NaN from the layer on where first order fails (see `VALID_FOR`). Numerical error about 1e-7 (finite differences). 10 to 50 ms per layer for built-ins, up to
        200 ms for a user's function with kinks.

    Raises:
        SpecError: orthogonal weights, biases that are not Gaussian, a bad `gram`, `absolute` weight variance without the
            input dimension, collinear inputs whose images stay collinear.

    Valid for: `VALID_FOR`; error O((sum 1/width)^2): with r = sum 1/width, variances and covariances were seen to be off by
    0.3 r (tanh, ReLU) to 2.5 r (GELU, away from its critical point) relative. Positively homogeneous activations without bias need only the angle, which
    `angles.propagation` follows to second order.

    Reference: derived in the module docstring; the covariance recursion of the metric is that of arXiv 2106.10165, chapter 4,
    in other coordinates.
    """
    gram = InputGram(*gram)
    _check(spec, gram)
    activation = spec.activation
    mean, covariance = _split(np.array(_input_state(gram))), np.zeros((3, 3))
    mean[1] = mean[1] if gram.log_ratio is None else gram.log_ratio
    fan_in = gram.dimension
    state_mean, state_covariance = (
        np.full((spec.depth, 3), np.nan),
        np.full((spec.depth, 3, 3), np.nan),
    )
    log_distance2 = np.full((2, spec.depth), np.nan)
    for layer, width in enumerate(spec.widths):
        metric = _metric_of(spec, fan_in)
        magnified = _magnification(mean)
        scales, offset = (
            np.array([1.0, magnified, 1.0]),
            np.array([0.0, 0.0, 2.0 * math.log(magnified)]),
        )
        mean, covariance = scales * mean + offset, covariance * np.outer(scales, scales)
        limit, shift, noise = _layer(activation, metric, mean)
        curvature, spread = _propagated(activation, metric, mean, covariance, limit)
        mean = (limit + curvature + shift / width - offset) / scales
        covariance = (spread + noise / width) / np.outer(scales, scales)
        state_mean[layer], state_covariance[layer] = (
            _joined(mean),
            _LOG_NORMS @ covariance @ _LOG_NORMS.T,
        )
        if not np.diag(state_covariance[layer]).max() <= _LARGEST_VARIANCE:
            state_mean[layer], state_covariance[layer] = np.nan, np.nan
            break
        log_distance2[:, layer] = log_distance2_moments(mean, covariance)
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


def log_sin2_kernel_walk(spec: MLP, inputs: Inputs) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ln sin^2 of the angle of every pair: `angles.kernel_propagation` pair by pair.

    Args:
        spec: see `angles.kernel_propagation`.
        inputs: points and displacements.

    Returns:
        Mean and variance, each [layers, pairs].

    Raises:
        SpecError: see `angles.kernel_propagation`.

    Valid for: see `angles.kernel_propagation`.

    Reference: see `angles.kernel_propagation`.
    """
    walks = [kernel_walk(spec, gram) for gram in input_grams(inputs)]
    shape = (spec.depth, len(walks))
    mean = np.array([walk.log_sin2_mean for walk in walks]).T.reshape(shape)
    return mean, np.array([walk.log_sin2_variance for walk in walks]).T.reshape(shape)


def input_grams(inputs: Inputs) -> tuple[InputGram, ...]:
    """The `InputGram` of every pair."""
    first = np.mean(inputs.points[list(inputs.bases)] ** 2, axis=1)
    second = np.mean(inputs.partners**2, axis=1)
    growth = np.mean(
        inputs.displacements * (inputs.points[list(inputs.bases)] + inputs.partners), axis=1
    )
    with np.errstate(
        divide="ignore", invalid="ignore"
    ):  # a zero row: refused by `angles.kernel_propagation`
        ratios = np.where(
            np.abs(growth) < 0.5 * first, np.log1p(growth / first), np.log(second / first)
        )
    return tuple(
        InputGram(float(a), float(b), float(angle), inputs.dimension, float(ratio))
        for a, b, angle, ratio in zip(first, second, inputs.angles, ratios, strict=True)
    )


class _Metric(NamedTuple):
    weight_var: float
    bias_var: float


def _metric_of(spec: MLP, fan_in: int | None) -> _Metric:
    assert spec.weight_law is not None
    columns = (
        fan_in or 1
    )  # without a fan-in the scaling is not `absolute`, and the product does not depend on it
    bias_var = spec.bias_law.entry_variance(1) if spec.bias_law is not None else 0.0
    return _Metric(spec.weight_law.entry_variance(columns, spec.depth) * columns, bias_var)


def _preactivation_pair(metric: _Metric, state: np.ndarray) -> tuple[float, float, float]:
    """(G_aa, G_bb, angle of G) from the post-activation state, without cancellation at a small angle.

    det G = weight^2 S_aa S_bb sin^2 + bias weight (S_aa + S_bb - 2 S_ab), the bracket being
    (sqrt S_aa - sqrt S_bb)^2 + 4 sqrt(S_aa S_bb) sin^2(angle / 2).
    """
    weight, bias = metric
    log_a, log_b, eta = (float(value) for value in state)
    half_sin2, half_cos2 = 1.0 / (1.0 + _exp(-eta)), 1.0 / (1.0 + _exp(eta))
    norm_a, norm_b = math.exp(0.5 * log_a), math.exp(0.5 * log_b)
    gap = norm_a * math.expm1(0.5 * (log_b - log_a))
    product = norm_a * norm_b
    determinant = 4.0 * (weight * product) ** 2 * half_sin2 * half_cos2
    determinant += bias * weight * (gap * gap + 4.0 * product * half_sin2)
    overlap = bias + weight * product * (half_cos2 - half_sin2)
    return (
        bias + weight * norm_a * norm_a,
        bias + weight * norm_b * norm_b,
        math.atan2(math.sqrt(determinant), overlap),
    )


def _frame(activation: Activation, metric: _Metric, state: np.ndarray) -> PairFrame:
    var_a, var_b, theta = _preactivation_pair(metric, state)
    if activation.slopes is None:
        return quadrature_frame(activation, theta, (var_a, var_b))
    left, right = activation.slopes
    opposite = abs(left) == abs(right) and math.pi - theta < 1e-14
    if theta == 0.0 or opposite:
        raise SpecError(
            f"collinear inputs (angle {theta:g})",
            "inputs with different images",
            "Move one of them.",
        )
    frame = homogeneous_frame(np, np.float64(theta), activation.slopes)
    return frame._replace(
        log_norm2_a=frame.log_norm2_a + math.log(var_a),
        log_norm2_b=frame.log_norm2_b + math.log(var_b),
    )


def _limit(frame: PairFrame) -> np.ndarray:
    """(ln E a^2, ln E b^2, eta) at infinite width; eta = 2 ln(sin / (1 + cos)) is kept exact at both ends."""
    log_sine = 0.5 * float(frame.log_sine2)
    eta = 2.0 * (log_sine - math.log1p(abs(float(frame.cosine))))
    return np.array(
        [float(frame.log_norm2_a), float(frame.log_norm2_b), eta if frame.cosine >= 0 else -eta]
    )


def _split(state: np.ndarray) -> np.ndarray:
    """(mean of the log-norms, their difference, eta); not a matrix product, for eta may be infinite."""
    return np.array([0.5 * (state[0] + state[1]), state[1] - state[0], state[2]])


def _joined(mean: np.ndarray) -> np.ndarray:
    """The inverse of `_split`."""
    return np.array([mean[0] - 0.5 * mean[1], mean[0] + 0.5 * mean[1], mean[2]])


def _magnification(mean: np.ndarray) -> float:
    """By how much a close pair is magnified."""
    angle, difference = 2.0 * math.atan(_exp(0.5 * float(mean[2]))), abs(float(mean[1]))
    most = _LARGEST_DIFFERENCE / difference if difference > 0.0 else math.inf
    return max(1.0, min(_SMALLEST_ANGLE / angle if angle > 0.0 else 1.0, most))


def _layer(
    activation: Activation, metric: _Metric, mean: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F(s), c(s), D(s), all in (mean, difference, eta)."""
    frame = _frame(activation, metric, _joined(mean))
    expansion, to = state_expansion(frame), _MEAN_AND_DIFFERENCE
    return (
        _split(_limit(frame)),
        to @ np.asarray(expansion.shift),
        to @ np.asarray(expansion.covariance) @ to.T,
    )


def _propagated(
    activation: Activation,
    metric: _Metric,
    mean: np.ndarray,
    covariance: np.ndarray,
    limit: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """(1/2) F'' : V and F' V F'^T."""
    curvature, spread = np.zeros(3), np.zeros((3, 3))
    angle = min(max(2.0 * math.atan(_exp(0.5 * float(mean[2]))), _SMALLEST_ANGLE), 1.0)
    units = np.array([1.0, angle, 1.0])
    eigenvalues, eigenvectors = np.linalg.eigh(covariance / np.outer(units, units))
    for eigenvalue, direction in zip(eigenvalues, (units[:, None] * eigenvectors).T, strict=True):
        if eigenvalue <= 1e-12 * eigenvalues[-1]:
            continue
        far_minus, minus, plus, far_plus = (
            _split(_limit(_frame(activation, metric, _joined(mean + multiple * _STEP * direction))))
            for multiple in (-2, -1, 1, 2)
        )
        slope = (8.0 * (plus - minus) - (far_plus - far_minus)) / (12.0 * _STEP)
        second = (16.0 * (plus + minus) - (far_plus + far_minus) - 30.0 * limit) / (12.0 * _STEP**2)
        curvature += 0.5 * eigenvalue * second
        spread += eigenvalue * np.outer(slope, slope)
    return curvature, spread


def _log_sin2_of_eta(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of ln sin^2 = ln 4 + eta - 2 ln(1 + e^eta) for a normal eta."""
    nodes, weights = normal_rule()
    eta = mean[:, None] + np.sqrt(variance)[:, None] * nodes
    values = math.log(4.0) - np.abs(eta) - 2.0 * np.log1p(np.exp(-np.abs(eta)))
    average = np.sum(weights * values, axis=1)
    return average, np.sum(weights * (values - average[:, None]) ** 2, axis=1)


def _input_state(gram: InputGram) -> tuple[float, float, float]:
    half = math.tan(0.5 * gram.angle)
    return (
        math.log(gram.norm2_a),
        math.log(gram.norm2_b),
        2.0 * math.log(half) if half > 0.0 else -math.inf,
    )


def _exp(x: float) -> float:
    return math.exp(x) if x < 700.0 else math.inf


def _check(spec: MLP, gram: InputGram) -> None:
    norms_allowed = all(math.isfinite(norm) and norm > 0.0 for norm in gram[:2])
    if not (norms_allowed and 0.0 <= gram.angle <= math.pi):
        raise SpecError(
            f"the inputs {gram}",
            "positive mean squares and an angle in [0, pi]",
            "Take inputs that are not zero.",
        )
    weight_law, bias_law = spec.weight_law, spec.bias_law
    assert weight_law is not None
    if weight_law.variance == 0.0:
        raise SpecError("weights of variance 0", "a positive variance", "No weights, no angle.")
    if weight_law.name == "orthogonal":
        raise SpecError(
            "orthogonal weights",
            "weight laws with independent entries",
            "Their 1/width terms differ (none at all for a linear net): simulate this spec instead.",
        )
    if bias_law is not None and not bias_law.is_gaussian:
        raise SpecError(
            f"the bias law {bias_law.name!r}",
            "'normal', or no bias",
            "Other biases make the preactivations non-Gaussian at any width.",
        )
    if weight_law.scaling == "absolute" and gram.dimension is None:
        raise SpecError(
            "an absolute weight variance without the input dimension",
            "InputGram(..., dimension=n_0)",
            "The first layer's variance is the entry variance times n_0.",
        )
