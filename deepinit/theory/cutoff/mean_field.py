"""Mean-field recursions of an infinitely wide layer x' = phi(W x + b), W_ij ~ N(0, A^2/N), b_i ~ N(0, sigma_b^2), and their fixed points.

    q' = V(q) = E phi(z)^2,  z ~ N(0, Q),  Q = A^2 q + sigma_b^2          q = |x|^2 / N, of the post-activations
    p' = E phi(u) phi(v),    Var u = Var v = Q, Cov(u, v) = A^2 p + sigma_b^2     p = <x, y> / N, c = p / q

with derivatives mu = V'(q*) = A^2 E[phi phi' g] / sqrt(Q) (integration by parts of 2 phi phi') and
chi = dp'/dp = A^2 E phi'(u) phi'(v); at c = 1, chi_1 = A^2 E phi'(z)^2. Depth scales xi_q = 1/|log mu|, xi_c = 1/|log chi|.

Expectations of one variable: `core.gaussian.normal_rule`, about 1e-13. Pairs: `numerics.gaussian_pairs`, about 1e-12.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import normal_rule, values
from deepinit.theory.cutoff.validate import (
    check_not_negative,
    check_positive,
    derivative,
    slopes_at_zero,
)
from deepinit.theory.numerics.delta_method import PairFrame
from deepinit.theory.numerics.gaussian_pairs import homogeneous_frame, quadrature_frame

_MOST_STEPS = 20_000
_CRITICAL = (
    1e-4  # distance of a multiplier from 1 below which 20 000 layers do not reach the fixed point
)
_DIFFERENCE = (
    3e-3  # relative step of fourth-order central differences: truncation and rounding about 1e-11
)


class Recursion(NamedTuple):
    """What defines the recursion."""

    activation: Activation
    weight_var: float
    bias_var: float

    def preactivation_variance(self, q: float) -> float:
        """Q = A^2 q + sigma_b^2."""
        return self.weight_var * q + self.bias_var


class MeanField(NamedTuple):
    """Fixed points of the recursions, their multipliers and depth scales.

    Attributes:
        mean_square: q*, of the post-activations; 0 where signals die out.
        length_multiplier: mu = V'(q*).
        tangent_multiplier: chi_1 = A^2 E phi'^2 at q*: above 1 chaotic, below 1 ordered.
        cosine: c* of two inputs, of the post-activations; 1 in the ordered phase.
        pair_multiplier: chi = dp'/dp at c*; chi_1 in the ordered phase.
        length_scale: xi_q = 1/|log mu|.
        pair_scale: xi_c = 1/|log chi|.
    """

    mean_square: float
    length_multiplier: float
    tangent_multiplier: float
    cosine: float
    pair_multiplier: float
    length_scale: float
    pair_scale: float


def mean_field(
    activation: Any, weight_var: float, bias_var: float = 0.0, *, mean_square: float = 1.0
) -> MeanField:
    """Fixed points q*, c* of one and two inputs through infinitely wide layers, with their depth scales xi_q and xi_c.

    Formulas in the module docstring. q* is the one that `mean_square` is attracted to, c* the one that orthogonal inputs are.

    Args:
        activation: an `Activation`, a built-in's name or a JAX function.
        weight_var: A^2 = sigma_w^2 > 0, variance times fan_in.
        bias_var: sigma_b^2 >= 0.
        mean_square: q_0 > 0, |x|^2 / N of the inputs.

    Returns:
        `MeanField`; errors about 1e-10. xi = 0 stands for a multiplier of 0, inf for one of 1.

    Raises:
        SpecError: a length that explodes, or that does not settle in 20 000 layers (critical lines); bad variances.

    Valid for: widths to infinity; centred independent weights, Gaussian biases.

    Reference: arXiv:1611.01232 (depth scales); module docstring.
    """
    recursion = checked_recursion(activation, weight_var, bias_var)
    q = fixed_mean_square(
        recursion, check_positive("mean_square", mean_square, "Inputs of ones have 1.")
    )
    if q == 0.0:
        left, right = slopes_at_zero(recursion.activation)
        mu = 0.5 * recursion.weight_var * (left * left + right * right)
        return MeanField(0.0, mu, mu, 1.0, mu, scale_of(mu), scale_of(mu))
    mu, chi_1 = length_multiplier(recursion, q), tangent_multiplier(recursion, q)
    if chi_1 <= 1.0:
        return MeanField(q, mu, chi_1, 1.0, chi_1, scale_of(mu), scale_of(chi_1))
    p = fixed_overlap(recursion, q)
    chi = slope(lambda value: overlap_step(recursion, q, value), p, q)
    return MeanField(q, mu, chi_1, p / q, chi, scale_of(mu), scale_of(chi))


def checked_recursion(activation: Any, weight_var: Any, bias_var: Any) -> Recursion:
    """The recursion, its numbers checked."""
    return Recursion(
        as_activation(activation),
        check_positive("weight_var", weight_var, "It is the variance times fan_in, A^2."),
        check_not_negative("bias_var", bias_var, "Leave it out for no bias."),
    )


def scale_of(multiplier: float) -> float:
    """xi = 1/|log|multiplier||."""
    if multiplier == 0.0:
        return 0.0
    log = abs(math.log(abs(multiplier)))
    return 1.0 / log if log else math.inf


def gaussian_nodes(recursion: Recursion, q: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """g, z = sqrt(Q) g and weights, fine enough for poles at distance pi/2 of z."""
    std = math.sqrt(recursion.preactivation_variance(q))
    nodes = (
        241 if recursion.activation.kinks else 2 * round(120 * min(max(std / 3.0, 1.0), 20.0)) + 1
    )
    g, weights = normal_rule(tuple(kink / std for kink in recursion.activation.kinks), nodes)
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
    product = values(recursion.activation, z) * derivative(recursion.activation, z) * g
    return (
        recursion.weight_var
        * float(weights @ product)
        / math.sqrt(recursion.preactivation_variance(q))
    )


def tangent_multiplier(recursion: Recursion, q: float) -> float:
    """chi_1(q) = A^2 E phi'(z)^2, q > 0."""
    _, z, weights = gaussian_nodes(recursion, q)
    return recursion.weight_var * float(weights @ derivative(recursion.activation, z) ** 2)


def fixed_mean_square(recursion: Recursion, start: float) -> float:
    """The fixed point of V that attracts `start`; 0 where signals die out."""
    q = start
    for _ in range(_MOST_STEPS):
        following = length_step(recursion, q)
        if not following < 1e100:
            raise SpecError(
                f"weight_var={recursion.weight_var:g}: lengths explode",
                "a smaller weight_var",
                "Lower it.",
            )
        if following < 1e-14 * start and following < q:
            return 0.0
        if abs(following - q) < 1e-9 * following:
            mu = length_multiplier(recursion, following)
            if abs(1.0 - abs(mu)) > _CRITICAL:
                polished = following
                for _ in range(3):  # Newton
                    polished -= (length_step(recursion, polished) - polished) / (
                        length_multiplier(recursion, polished) - 1.0
                    )
                return polished
        q = following
    raise SpecError(
        f"weight_var={recursion.weight_var:g}, bias_var={recursion.bias_var:g}: the length does not settle",
        "a fixed point with a multiplier away from 1",
        "On critical lines relaxation follows a power law of depth: there is no cut-off. Change the variances.",
    )


def pair_frame(recursion: Recursion, q: float, p: float) -> PairFrame:
    """Post-activations of two inputs of mean square q and overlap p."""
    total = recursion.preactivation_variance(q)
    covariance = recursion.weight_var * p + recursion.bias_var
    theta = 2.0 * math.asin(math.sqrt(min(max(0.5 * (1.0 - covariance / total), 0.0), 1.0)))
    if recursion.activation.slopes is None:
        return quadrature_frame(recursion.activation, theta, (total, total))
    frame = homogeneous_frame(np, np.float64(theta), recursion.activation.slopes)
    shift = math.log(total)
    return frame._replace(
        log_norm2_a=frame.log_norm2_a + shift, log_norm2_b=frame.log_norm2_b + shift
    )


def overlap_step(recursion: Recursion, q: float, p: float) -> float:
    """p' = E phi(u) phi(v)."""
    frame = pair_frame(recursion, q, p)
    return float(frame.cosine) * math.exp(0.5 * float(frame.log_norm2_a + frame.log_norm2_b))


def fixed_overlap(recursion: Recursion, q: float) -> float:
    """The fixed point of p -> p' at q = q* in the chaotic phase, from orthogonal inputs."""
    p = 0.0
    for _ in range(_MOST_STEPS):
        following = overlap_step(recursion, q, p)
        if abs(following) < 1e-15 * q:
            return 0.0
        if abs(following - p) < 1e-7 * q:
            multiplier = slope(lambda value: overlap_step(recursion, q, value), following, q)
            if abs(1.0 - multiplier) > _CRITICAL:
                for _ in range(
                    3
                ):  # Newton with a fixed slope: each step leaves the square of the distance
                    following -= (overlap_step(recursion, q, following) - following) / (
                        multiplier - 1.0
                    )
                return following
        p = following
    raise SpecError(
        f"weight_var={recursion.weight_var:g}, bias_var={recursion.bias_var:g}: the cosine does not settle",
        "a fixed point with a multiplier away from 1",
        "At the edge of chaos there is no cut-off. Change the variances.",
    )


def slope(function: Callable[[float], float], at: float, unit: float) -> float:
    """The derivative by central differences of fourth order."""
    h = _DIFFERENCE * unit
    near, far = (
        (function(at + h) - function(at - h)) / h,
        (function(at + 2 * h) - function(at - 2 * h)) / h,
    )
    return (8.0 * near - far) / 12.0


def curvature(function: Callable[[float], float], at: float, unit: float) -> float:
    """The second derivative, of fourth order; rounding about 1e-10 / unit^2."""
    h = 5.0 * _DIFFERENCE * unit
    middle = function(at)
    near = function(at + h) + function(at - h) - 2.0 * middle
    far = function(at + 2 * h) + function(at - 2 * h) - 2.0 * middle
    return (16.0 * near - far) / (12.0 * h * h)
