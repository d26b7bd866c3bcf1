"""Moments of log ||J u||^2 and log Vol_d^2 where finite, exact at every width.

Log factors of layers add up. With <.>_n over K ~ Binomial(n, 1/2) given K >= d:

    ReLU:    E ln prod_{j<d} chi^2_{K-j} = d ln 2 + <sum_j psi((K - j)/2)>_n,
             Var = <sum_j psi_1((K - j)/2)>_n + Var_n(sum_j psi((K - j)/2));
    linear:  the same with K = n.

d = 1, critical variance, large n: mean -5/(2n) - 49/(12 n^2), variance 5/n + 37/(2 n^2) per layer.
"""

import math
from typing import NamedTuple

import numpy as np

from deepinit.core.typing import Float, Like
from deepinit.theory.numerics.homogeneous_layers import (
    HomogeneousLayer,
    HomogeneousNetwork,
    network_layers,
    network_widths,
)
from deepinit.theory.numerics.layer_factors import exp, factor_log_moments


class LogMoments(NamedTuple):
    """Mean and variance of log ||J u||^2 (log Vol_d^2) where finite, and P(finite).

    Mean and variance are nan where p_alive is 0.
    """

    mean: Float[Like, "*layers"]
    variance: Float[Like, "*layers"]
    p_alive: Float[Like, "*layers"]


def log_length_moments(network: HomogeneousNetwork) -> LogMoments:
    """Mean and variance of log ||J u||^2 given J u != 0, and P(J u != 0).

    For ReLU, Gaussian weights, natural logarithm,

        E log||Ju||^2   = sum_{l<L} [ln(2 v_l / n_{l-1}) + <psi(K/2)>_{n_l}]
                          + ln(2 v_L / n_{L-1}) + psi(n_L / 2)
        Var log||Ju||^2 = sum_{l<L} [<psi_1(K/2)>_{n_l} + Var_{n_l} psi(K/2)] + psi_1(n_L / 2)
        P(Ju != 0)      = prod_{l<L} (1 - 2^{-n_l}).

    Valid for: `length_moment`, with its errors; absolute error 1e-14 per layer.
    """
    return log_volume_moments(network, 1)


def log_length_moments_by_layer(network: HomogeneousNetwork) -> LogMoments:
    """`log_length_moments` after every layer l, given J_l u != 0."""
    return log_volume_moments_by_layer(network, 1)


def log_volume_moments(network: HomogeneousNetwork, d: int) -> LogMoments:
    """Mean and variance of log Vol_d^2 given Vol_d > 0, and P(Vol_d > 0), ReLU.

    p_alive: at least d units on in every layer; (nan, nan, 0) if a width, n_0 included, is below d.
    d = 1: `log_length_moments`. Range and errors: `volume_moment`.
    """
    return LogMoments(*(float(part[-1]) for part in log_volume_moments_by_layer(network, d)))


def log_volume_moments_by_layer(network: HomogeneousNetwork, d: int) -> LogMoments:
    """`log_volume_moments` after every layer l, given Vol_d > 0."""
    layers = network_layers(network, d)
    if network_widths(network.widths)[0] >= d:
        return cumulative_log_moments(layers)
    nothing = np.full(len(layers), math.nan)
    return LogMoments(nothing, nothing, np.zeros(len(layers)))


def log_alive(layers: list[HomogeneousLayer]) -> np.ndarray:
    """ln P(Vol_d > 0) after every layer."""
    return np.cumsum(
        [layer.factor.log_alive if layer.entry_var > 0.0 else -math.inf for layer in layers]
    )


def cumulative_log_moments(layers: list[HomogeneousLayer]) -> LogMoments:
    """Mean, variance and survival after every layer."""
    mean, variance = np.cumsum([_layer_moments(layer) for layer in layers], axis=0).T
    return LogMoments(mean, variance, np.array([exp(value) for value in log_alive(layers)]))


def _layer_moments(layer: HomogeneousLayer) -> tuple[float, float]:
    if layer.entry_var == 0.0:
        return math.nan, math.nan
    mean, variance = factor_log_moments(layer.factor)
    return layer.factor.d * math.log(layer.entry_var) + mean, variance
