"""Mean-field recursions of an infinitely wide layer x' = phi(W x + b), and their fixed points.

W_ij ~ N(0, A^2/N), b_i ~ N(0, sigma_b^2), q = |x|^2 / N, p = <x, y> / N, c = p / q:

    q' = V(q) = E phi(z)^2,  z ~ N(0, Q),  Q = A^2 q + sigma_b^2
    p' = E phi(u) phi(v),    Var u = Var v = Q, Cov(u, v) = A^2 p + sigma_b^2
    mu = V'(q*) = A^2 E[phi phi' g] / sqrt(Q),    chi = dp'/dp = A^2 E phi'(u) phi'(v)
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import derivatives, normal_rule, values
from deepinit.core.typing import ActivationLike
from deepinit.theory.cutoff.validate import slopes_at_zero
from deepinit.theory.numerics.delta_method import PairFrame
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame

_MOST_STEPS = 20_000
_CRITICAL = 1e-4  # |multiplier - 1| below which 20 000 layers do not reach the fixed point
_DIFFERENCE = 3e-3  # relative step of the differences: truncation and rounding about 1e-11


class Recursion(NamedTuple):
    """Activation and variances of the recursion."""

    activation: Activation
    weight_var: float
    bias_var: float

    def preactivation_variance(self, q: float) -> float:
        """Q = A^2 q + sigma_b^2."""
        return self.weight_var * q + self.bias_var


class MeanField(NamedTuple):
    """Fixed points of the recursions, their multipliers and depth scales.

    Attributes:
        mean_square: q*, of the post-activations; 0 if signals die out.
        length_multiplier: mu = V'(q*).
        tangent_multiplier: chi_1 = A^2 E phi'(z)^2: above 1 chaotic, below 1 ordered.
        cosine, pair_multiplier: c* of two inputs, 1 in the ordered phase; chi at c*.
        length_scale, pair_scale: xi_q = 1/|log mu|, xi_c = 1/|log chi|.
    """

    mean_square: float
    length_multiplier: float
    tangent_multiplier: float
    cosine: float
    pair_multiplier: float
    length_scale: float
    pair_scale: float


def mean_field(
    activation: ActivationLike,
    weight_var: float,
    bias_var: float = 0.0,
    *,
    mean_square: float = 1.0,
) -> MeanField:
    """Fixed points q*, c* and depth scales xi_q, xi_c at infinite width.

    weight_var, bias_var: A^2 > 0, times fan_in; sigma_b^2. q* attracts mean_square
    q_0 = |x|^2 / N > 0, c* orthogonal inputs. xi = 0 for a multiplier of 0, inf for 1. Errors
    1e-10. SpecError: a length that explodes, or does not settle in 20 000 layers (critical lines).
    Valid for: centred independent weights, Gaussian biases. Reference: arXiv:1611.01232.
    """
    recursion = checked_recursion(activation, weight_var, bias_var)
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    q = fixed_mean_square(recursion, start)
    if q == 0.0:
        left, right = slopes_at_zero(recursion.activation)
        mu = 0.5 * recursion.weight_var * (left * left + right * right)
        return MeanField(0.0, mu, mu, 1.0, mu, scale_of(mu), scale_of(mu))
    mu, chi_1 = length_multiplier(recursion, q), tangent_multiplier(recursion, q)
    if chi_1 <= 1.0:
        return MeanField(q, mu, chi_1, 1.0, chi_1, scale_of(mu), scale_of(chi_1))
    p = fixed_overlap(recursion, q)
    chi = first_derivative(lambda value: overlap_step(recursion, q, value), p, q)
    return MeanField(q, mu, chi_1, p / q, chi, scale_of(mu), scale_of(chi))


def checked_recursion(activation: ActivationLike, weight_var: float, bias_var: float) -> Recursion:
    """Recursion of checked numbers."""
    weight = validate.positive("weight_var", weight_var, "It is the variance times fan_in, A^2.")
    bias = validate.not_negative("bias_var", bias_var, "Omit it for no bias.")
    return Recursion(as_activation(activation), weight, bias)


def scale_of(multiplier: float) -> float:
    """xi = 1/|log|multiplier||."""
    if multiplier == 0.0:
        return 0.0
    log = abs(math.log(abs(multiplier)))
    return 1.0 / log if log else math.inf


def gaussian_nodes(recursion: Recursion, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """g, z = sqrt(Q) g and weights, fine enough for poles at distance pi/2 of z."""
    std = math.sqrt(recursion.preactivation_variance(q))
    kinks = tuple(kink / std for kink in recursion.activation.kinks)
    nodes = 241 if kinks else 2 * round(120 * min(max(std / 3.0, 1.0), 20.0)) + 1
    g, weights = normal_rule(kinks, nodes)
    return g, std * g, weights


def length_step(recursion: Recursion, q: float) -> float:
    """V(q)."""
    if recursion.preactivation_variance(q) == 0.0:
        return float(values(recursion.activation, np.zeros(1))[0]) ** 2
    _, z, weights = gaussian_nodes(recursion, q)
    return float(weights @ values(recursion.activation, z) ** 2)


def length_multiplier(recursion: Recursion, q: float) -> float:
    """V'(q), q > 0."""
    g, z, weights = gaussian_nodes(recursion, q)
    product = values(recursion.activation, z) * derivatives(recursion.activation, z) * g
    std = math.sqrt(recursion.preactivation_variance(q))
    return recursion.weight_var * float(weights @ product) / std


def tangent_multiplier(recursion: Recursion, q: float) -> float:
    """chi_1(q) = A^2 E phi'(z)^2, q > 0."""
    _, z, weights = gaussian_nodes(recursion, q)
    return recursion.weight_var * float(weights @ derivatives(recursion.activation, z) ** 2)


def fixed_mean_square(recursion: Recursion, start: float) -> float:
    """Fixed point of V that attracts `start`; 0 if signals die out."""
    q = start
    for _ in range(_MOST_STEPS):
        following = length_step(recursion, q)
        if not following < 1e100:
            given = f"weight_var={recursion.weight_var:g}: lengths explode"
            raise SpecError(given, "a smaller weight_var", "Lower it.")
        if following < 1e-14 * start and following < q:
            return 0.0
        if abs(following - q) < 1e-9 * following:
            mu = length_multiplier(recursion, following)
            if abs(1.0 - abs(mu)) > _CRITICAL:
                for _ in range(3):  # Newton
                    residual = length_step(recursion, following) - following
                    following -= residual / (length_multiplier(recursion, following) - 1.0)
                return following
        q = following
    raise _unsettled(recursion, "length")


def pair_frame(recursion: Recursion, q: float, p: float) -> PairFrame:
    """Post-activations of two inputs of mean square q and overlap p."""
    total = recursion.preactivation_variance(q)
    covariance = recursion.weight_var * p + recursion.bias_var
    theta = 2.0 * math.asin(math.sqrt(min(max(0.5 * (1.0 - covariance / total), 0.0), 1.0)))
    if recursion.activation.slopes is None:
        return quadrature_frame(recursion.activation, theta, (total, total))
    frame = homogeneous_frame(np, np.float64(theta), recursion.activation.slopes)
    log_a, log_b = frame.log_norm2_a + math.log(total), frame.log_norm2_b + math.log(total)
    return frame._replace(log_norm2_a=log_a, log_norm2_b=log_b)


def overlap_step(recursion: Recursion, q: float, p: float) -> float:
    """p' = E phi(u) phi(v)."""
    frame = pair_frame(recursion, q, p)
    return float(frame.cosine) * math.exp(0.5 * float(frame.log_norm2_a + frame.log_norm2_b))


def fixed_overlap(recursion: Recursion, q: float) -> float:
    """Fixed point of p -> p' at q* in the chaotic phase, from orthogonal inputs."""

    def step(p: float) -> float:
        return overlap_step(recursion, q, p)

    p = 0.0
    for _ in range(_MOST_STEPS):
        following = step(p)
        if abs(following) < 1e-15 * q:
            return 0.0
        if abs(following - p) < 1e-7 * q:
            multiplier = first_derivative(step, following, q)
            if abs(1.0 - multiplier) > _CRITICAL:
                for _ in range(3):  # Newton with a fixed derivative
                    following -= (step(following) - following) / (multiplier - 1.0)
                return following
        p = following
    raise _unsettled(recursion, "cosine")


def _unsettled(recursion: Recursion, what: str) -> SpecError:
    variances = f"weight_var={recursion.weight_var:g}, bias_var={recursion.bias_var:g}"
    allowed = "a fixed point with a multiplier away from 1"
    remedy = "Critical lines have a power law of depth, no cut-off. Change the variances."
    return SpecError(f"{variances}: the {what} does not settle", allowed, remedy)


def first_derivative(function: Callable[[float], float], at: float, unit: float) -> float:
    """Central difference of fourth order, with steps proportional to `unit`."""
    h = _DIFFERENCE * unit
    near = (function(at + h) - function(at - h)) / h
    far = (function(at + 2 * h) - function(at - 2 * h)) / h
    return (8.0 * near - far) / 12.0


def second_derivative(function: Callable[[float], float], at: float, unit: float) -> float:
    """Central difference of fourth order; rounding 1e-10 / unit^2."""
    h = 5.0 * _DIFFERENCE * unit
    middle = function(at)
    near = function(at + h) + function(at - h) - 2.0 * middle
    far = function(at + 2 * h) + function(at - 2 * h) - 2.0 * middle
    return (16.0 * near - far) / (12.0 * h * h)
