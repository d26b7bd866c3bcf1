"""Mean and variance of the log-distance of a pair, to first order.

In the state (m, delta, eta) of `angles.kernel_propagation`, positive terms without cancellation,

    ln |a - b|^2/n = m + ln 4 + ln T,
    T = P + S,    P = sinh^2(delta/4),    S = sin^2(angle/2) = 1/(1 + e^-eta),
    T_delta = sinh(delta/2)/4,     T_delta,delta = cosh(delta/2)/8,
    T_eta = S (1 - S),             T_eta,eta = S (1 - S)(1 - 2 S).
"""

import numpy as np


def log_distance2_moments(mean: np.ndarray, covariance: np.ndarray) -> tuple[float, float]:
    """Mean and variance of ln |a - b|^2/n from those of (m, delta, eta), by the delta method.

    Valid for: a covariance << 1, a variance of delta << P + S.
    """
    center, difference, eta = mean
    near, far = 1.0 / (1.0 + np.exp(-eta)), 1.0 / (1.0 + np.exp(eta))
    total = np.sinh(0.25 * difference) ** 2 + near
    by_difference, by_eta = np.sinh(0.5 * difference) / (4.0 * total), near * far / total
    gradient = np.array([1.0, by_difference, by_eta])
    curvature = -np.outer(gradient, gradient)
    curvature[0], curvature[:, 0] = 0.0, 0.0
    curvature[1, 1] += np.cosh(0.5 * difference) / (8.0 * total)
    curvature[2, 2] += by_eta * (far - near)
    shift = 0.5 * float(np.sum(curvature * covariance))
    return float(center + np.log(4.0 * total) + shift), float(gradient @ covariance @ gradient)
