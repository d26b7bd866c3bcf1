"""One layer's map of the norms and the angle of two inputs.

Preactivation pairs are i.i.d. Gaussian given the post-activations a, b before them, of metric
G = bias_var + weight_var / n (a.a, a.b, b.b). State s, F, c, D: `angles.kernel_propagation`, by
`numerics.delta_method`. F', F'': fourth-order central differences along eigenvectors of the
covariance.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.activations import Activation
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.theory.numerics.delta_method import PairFrame, state_expansion
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame

# Truncation step^4/30 F^(5) and step^4/90 F^(6), about 1e-7 and 1e-8; rounding 1e-14 / step^2.
_STEP = 0.03

# Closer pairs are magnified to this angle (error: its square), up to this difference of log-norms.
_SMALLEST_ANGLE, _LARGEST_DIFFERENCE = 1e-4, 1e-2

# (ln |a|^2/n, ln |b|^2/n, eta) to (mean, difference, eta), and its inverse
_MEAN_AND_DIFFERENCE = np.array([[0.5, 0.5, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
LOG_NORMS = np.array([[1.0, -0.5, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 1.0]])


class LayerMap(NamedTuple):
    """An activation and the variances of its preactivation at |a|^2/n = 1."""

    activation: Activation
    weight_var: float
    bias_var: float


def layer_map(spec: MLP, fan_in: int | None) -> LayerMap:
    """The layer after `fan_in` neurons (None: scaling not `absolute`)."""
    assert spec.weight_law is not None
    columns = fan_in or 1  # cancels unless the scaling is `absolute`
    bias_var = spec.bias_law.entry_variance(1) if spec.bias_law is not None else 0.0
    weight_var = spec.weight_law.entry_variance(columns, spec.depth) * columns
    return LayerMap(spec.activation, weight_var, bias_var)


def expand(layer: LayerMap, state: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """F(s), c(s), D(s)."""
    frame = _frame(layer, state)
    expansion, to = state_expansion(frame), _MEAN_AND_DIFFERENCE
    covariance = to @ np.asarray(expansion.covariance) @ to.T
    return _limit(frame), to @ np.asarray(expansion.shift), covariance


def propagate(
    layer: LayerMap, state: np.ndarray, covariance: np.ndarray, limit: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(1/2) F'' : V and F' V F'^T, V the covariance, limit = F(s)."""
    curvature, spread = np.zeros(3), np.zeros((3, 3))
    angle = min(max(2.0 * math.atan(_exp(0.5 * float(state[2]))), _SMALLEST_ANGLE), 1.0)
    units = np.array([1.0, angle, 1.0])  # with biases F varies on the scale angle in the difference
    eigenvalues, eigenvectors = np.linalg.eigh(covariance / np.outer(units, units))
    for eigenvalue, direction in zip(eigenvalues, (units[:, None] * eigenvectors).T, strict=True):
        if eigenvalue <= 1e-12 * eigenvalues[-1]:
            continue
        far_minus, minus, plus, far_plus = (
            _limit(_frame(layer, state + multiple * _STEP * direction))
            for multiple in (-2, -1, 1, 2)
        )
        first = (8.0 * (plus - minus) - (far_plus - far_minus)) / (12.0 * _STEP)
        second = (16.0 * (plus + minus) - (far_plus + far_minus) - 30.0 * limit) / (12.0 * _STEP**2)
        curvature += 0.5 * eigenvalue * second
        spread += eigenvalue * np.outer(first, first)
    return curvature, spread


def magnification(state: np.ndarray) -> float:
    """Magnification with which a close pair keeps its digits."""
    angle, difference = 2.0 * math.atan(_exp(0.5 * float(state[2]))), abs(float(state[1]))
    most = _LARGEST_DIFFERENCE / difference if difference > 0.0 else math.inf
    return max(1.0, min(_SMALLEST_ANGLE / angle if angle > 0.0 else 1.0, most))


def mean_and_difference(log_a: float, log_b: float, eta: float) -> np.ndarray:
    """The state from the log-norms and eta, which may be inf."""
    return np.array([0.5 * (log_a + log_b), log_b - log_a, eta])


def log_norms(state: np.ndarray) -> np.ndarray:
    """Inverse of `mean_and_difference`: (ln |a|^2/n, ln |b|^2/n, eta)."""
    return np.array([state[0] - 0.5 * state[1], state[0] + 0.5 * state[1], state[2]])


def _preactivation_pair(layer: LayerMap, state: np.ndarray) -> tuple[float, float, float]:
    """(G_aa, G_bb, angle of G); det G as a sum of positive terms: no cancellation."""
    _, weight, bias = layer
    log_a, log_b, eta = (float(value) for value in log_norms(state))
    half_sin2, half_cos2 = 1.0 / (1.0 + _exp(-eta)), 1.0 / (1.0 + _exp(eta))
    norm_a, norm_b = math.exp(0.5 * log_a), math.exp(0.5 * log_b)
    gap = norm_a * math.expm1(0.5 * (log_b - log_a))
    product = norm_a * norm_b
    determinant = 4.0 * (weight * product) ** 2 * half_sin2 * half_cos2
    determinant += bias * weight * (gap * gap + 4.0 * product * half_sin2)
    overlap = bias + weight * product * (half_cos2 - half_sin2)
    theta = math.atan2(math.sqrt(determinant), overlap)
    return bias + weight * norm_a * norm_a, bias + weight * norm_b * norm_b, theta


def _frame(layer: LayerMap, state: np.ndarray) -> PairFrame:
    var_a, var_b, theta = _preactivation_pair(layer, state)
    slopes = layer.activation.slopes
    if slopes is None:
        return quadrature_frame(layer.activation, theta, (var_a, var_b))
    if theta == 0.0 or (abs(slopes[0]) == abs(slopes[1]) and math.pi - theta < 1e-14):
        given, allowed = f"collinear inputs (angle {theta:g})", "inputs with different images"
        raise SpecError(given, allowed, "Move one of them.")
    frame = homogeneous_frame(np, np.float64(theta), slopes)
    log_a, log_b = frame.log_norm2_a + math.log(var_a), frame.log_norm2_b + math.log(var_b)
    return frame._replace(log_norm2_a=log_a, log_norm2_b=log_b)


def _limit(frame: PairFrame) -> np.ndarray:
    """The state at infinite width; eta is exact at both ends."""
    eta = 2.0 * (0.5 * float(frame.log_sine2) - math.log1p(abs(float(frame.cosine))))
    log_a, log_b = float(frame.log_norm2_a), float(frame.log_norm2_b)
    return mean_and_difference(log_a, log_b, eta if frame.cosine >= 0 else -eta)


def _exp(x: float) -> float:
    return math.exp(x) if x < 700.0 else math.inf
