"""Ordered phase: depth at which two inputs, or one signal and 0, are equal to a precision.

The distance of close inputs is a tangent vector y' = phi'(z) W y. Given the layer before,

    |y'|^2 / |y|^2 = (A^2 / N) sum_i phi'(z_i)^2 h_i^2,
    log = log chi_1(q) + k^2 rho + e - e^2 / 2,    E e^2 = e2 / N,

h the normalised W y, k^2 = (A^2 q / Q) r^2 the squared correlation of h and z, r the cosine
of x and y. Beyond log chi_1, for log|y|^2, to order 1/N at stationary q and r,

    drift N      = G' V'' v_q / (2 (1 - mu) (1 - mu^2)) + G'' v_q / (2 (1 - mu^2)) - e2 / 2
                   + rho (A^2 q / Q) n_r / (1 - m^2)
    variance N   = e2 + 2 G' e_q / (1 - mu) + G'^2 v_q / (1 - mu)^2
    G   = log chi_1,     v_q = Var phi^2,     mu = V'(q),
    e2  = 3 E phi'^4 / (E phi'^2)^2 - 1,          rho = E phi'^2 g^2 / E phi'^2 - 1,
    e_q = E phi'^2 phi^2 / E phi'^2 - q,          n_r = E phi^2 phi'^2 / (q E phi'^2),
    m   = sqrt(A^2 q / Q) E phi phi' g / sqrt(q E phi'^2);

for log|y| halve the drift, quarter the variance.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import derivatives, values
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real
from deepinit.theory.cutoff.first_passage import first_passage_profile
from deepinit.theory.cutoff.log_norm_drift import fourth_moment_ratio, log_norm_drift
from deepinit.theory.cutoff.mean_field import (
    Recursion,
    checked_recursion,
    first_derivative,
    fixed_mean_square,
    gaussian_nodes,
    length_multiplier,
    scale_of,
    second_derivative,
    tangent_multiplier,
)
from deepinit.theory.cutoff.validate import slopes_at_zero


class OrderedCutoff(NamedTuple):
    """Depth at which a distance has shrunk by the factor exp(-L).

    Attributes:
        drift, variance: of the logarithm of the distance, per layer.
        depth_scale: xi = 1/|log chi_1|, at infinite width.
        centre, wide_centre: L / |drift|; at infinite width, 2 xi L.
        window: t25 - t75 of the Gaussian profile.
        survival: P(distance above exp(-L) times the first).
        drift_limit, drift_coefficient: drift = (1/2) log chi_1 + c / width + O(1 / width^2).
        variance_coefficient: v of variance = v / width + O(1 / width^2).
    """

    drift: float
    variance: float
    depth_scale: float
    wide_centre: float
    centre: float
    window: float
    survival: Float[Like, "*shape"] | None
    drift_limit: float
    drift_coefficient: float
    variance_coefficient: float


def ordered_cutoff(
    activation: ActivationLike,
    weight_var: float,
    width: int,
    distance: float,
    *,
    bias_var: float = 0.0,
    mean_square: float = 1.0,
    layers: Real[Array, "*shape"] | Plain | None = None,
) -> OrderedCutoff:
    """Depth at which two inputs (with biases), or a signal and 0 (without), agree.

    centre = L / gamma_N, gamma_N = -(1/2) log chi_1 + O(1/N), window ~ 1/sqrt(N). Variances and
    mean_square: `mean_field`. `distance`: L > 0, log(|x_0 - y_0| / eps), or log(|x_0| / rho)
    without biases. SpecError: chi_1 >= 1 (no contraction). Valid for: Gaussian weights and biases.
    Without biases: as `log_norm_drift`. With biases: drift and variance to O(1/N^2), inputs close
    or L large, stationary lengths; centre to O(1). Reference: arXiv:1611.01232 (xi_c).
    """
    recursion = checked_recursion(activation, weight_var, bias_var)
    n = validate.integer("width", width, 1)
    length = validate.positive("distance", distance, "It is log(first distance / precision).")
    start = validate.positive("mean_square", mean_square, "Inputs of ones have 1.")
    q = fixed_mean_square(recursion, start)
    if q == 0.0:
        left, right = slopes_at_zero(recursion.activation)
        chi_1 = 0.5 * recursion.weight_var * (left * left + right * right)
        drift, variance, _ = log_norm_drift(recursion.activation, n, recursion.weight_var)
        variance_coefficient = 0.25 * (3.0 * fourth_moment_ratio(left, right) - 1.0)
        drift_coefficient = -variance_coefficient
    else:
        chi_1 = tangent_multiplier(recursion, q)
        drift_coefficient, variance_coefficient = pair_coefficients(recursion, q)
        drift, variance = 0.5 * math.log(chi_1) + drift_coefficient / n, variance_coefficient / n
    if not (chi_1 < 1.0 and drift < 0.0):
        given = f"chi_1 = {chi_1:.4g}, where distances do not shrink"
        remedy = "In the chaotic phase take `mean_field_cutoff`; the edge of chaos has no cut-off."
        raise SpecError(given, "the ordered phase, chi_1 < 1", remedy)
    profile = first_passage_profile(length, drift, variance, layers)
    xi = scale_of(chi_1)
    return OrderedCutoff(
        drift,
        variance,
        xi,
        2.0 * xi * length,
        profile.centre,
        profile.window,
        profile.survival,
        0.5 * math.log(chi_1),
        drift_coefficient,
        variance_coefficient,
    )


def pair_coefficients(recursion: Recursion, q: float) -> tuple[float, float]:
    """Coefficients of 1/width of drift and variance of log|x_t - y_t|, at q* = q > 0."""
    g, z, weights = gaussian_nodes(recursion, q)
    phi, tangent = values(recursion.activation, z), derivatives(recursion.activation, z)
    phi2, tangent2 = phi**2, tangent**2

    def mean(samples: np.ndarray) -> float:
        return float(weights @ samples)

    square = mean(tangent2)
    mu = length_multiplier(recursion, q)
    length_noise = mean((phi2 - q) ** 2)
    tangent_noise = 3.0 * mean(tangent2**2) / square**2 - 1.0
    cross = mean(tangent2 * phi2) / square - q

    def log_tangent(at: float) -> float:
        return math.log(tangent_multiplier(recursion, at))

    first, second = first_derivative(log_tangent, q, q), second_derivative(log_tangent, q, q)
    bend = first_derivative(lambda at: length_multiplier(recursion, at), q, q)  # V''
    share = recursion.weight_var * q / recursion.preactivation_variance(q)
    overlap = math.sqrt(share) * mean(phi * tangent * g) / math.sqrt(q * square)
    overlap_noise = mean(phi2 * tangent2) / (q * square)
    excess = mean(tangent2 * g * g) / square - 1.0

    drift = (
        0.5 * first * bend * length_noise / ((1.0 - mu) * (1.0 - mu**2))
        + 0.5 * second * length_noise / (1.0 - mu**2)
        - 0.5 * tangent_noise
        + excess * share * overlap_noise / (1.0 - overlap**2)
    )
    variance = (
        tangent_noise + 2.0 * first * cross / (1.0 - mu) + first**2 * length_noise / (1.0 - mu) ** 2
    )
    return 0.5 * drift, 0.25 * variance
