"""Angular factor D of a leaky ReLU layer of slope a.

A Gaussian vector with n - K coordinates times a, K ~ Binomial(n, 1/2), has squared length

    chi^2_K + a^2 chi^2_{n-K} = chi^2_n D,    D = a^2 + (1 - a^2) U,    U | K ~ Beta(K/2, (n-K)/2),

U independent of chi^2_n. With u = 1/(1 + e^-x), delta = k - n/2, the density in x is proportional
to cosh(x/2)^{-n/2} e^{delta x/2}, analytic for |Im x| < pi: trapezoidal sums converge
geometrically.
"""

import math
from functools import lru_cache

import numpy as np

from deepinit.core.typing import Like, Shaped
from deepinit.theory.numerics.gamma_functions import half_binomial


def log_angular_moment(n: int, s: Shaped[Like, "..."], slope: float) -> Shaped[Like, "..."]:
    """ln E D^s, s real or complex, slope not 0; error 1e-14 for real s of order 1."""
    s = np.asarray(s)
    highest = 1.0 + float(np.abs(s.imag).max(initial=0.0))
    frequency = 2.0 ** math.ceil(math.log2(highest))  # few sets of nodes, cached
    log_values, weights = angular_nodes(n, slope, frequency)
    exponents = s[..., None] * log_values + np.log(weights)
    largest = exponents.real.max(axis=-1, keepdims=True)
    return largest[..., 0] + np.log(np.exp(exponents - largest).sum(axis=-1))


def angular_log_moments(n: int, slope: float) -> tuple[float, float]:
    """Mean and variance of ln D."""
    log_values, weights = angular_nodes(n, slope)
    mean = float(weights @ log_values)
    return mean, float(weights @ (log_values - mean) ** 2)


@lru_cache(maxsize=256)
def angular_nodes(n: int, slope: float, frequency: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Values of ln D and probabilities, for E D^s with |Im s| <= frequency."""
    square = slope * slope
    if square > 1.0:  # K and n - K have the same law
        inverse, weights = angular_nodes(n, 1.0 / slope, frequency)
        return inverse + math.log(square), weights
    k, probabilities = half_binomial(n)
    inner = (k > 0) & (k < n)
    # all units off, all units on
    ends, end_weights = np.array([math.log(square), 0.0]), np.full(2, 0.5**n)
    if not inner.any():
        return ends, end_weights
    # The narrowest component has standard deviation sqrt(8/n) in x, the slowest tail is
    # e^{-|x|/2}; D^s with an imaginary exponent grows like e^{|Im s Im x|} inside the strip.
    step = min(0.2, 1.4 / math.sqrt(n), 2.0 * math.pi / (frequency + 15.0))
    far = 80.0 if n <= 200 else min(80.0, 120.0 / math.sqrt(n))
    x = step * np.arange(-math.ceil(far / step), math.ceil(far / step) + 1)
    log_cosh = np.log1p(2.0 * np.sinh(0.25 * x) ** 2)  # ln cosh(x/2), to relative accuracy at 0
    density = np.exp(0.5 * (k[inner, None] - 0.5 * n) * x - 0.5 * n * log_cosh)
    mixture = (probabilities[inner] / density.sum(axis=1)) @ density
    log_values = np.log(square + (1.0 - square) / (1.0 + np.exp(-x)))
    log_values, weights = np.concatenate([ends, log_values]), np.concatenate([end_weights, mixture])
    inside = weights > 1e-200
    return log_values[inside], weights[inside]
