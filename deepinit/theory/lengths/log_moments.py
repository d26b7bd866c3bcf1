"""Mean and variance of log ||J u||^2 and log Vol_d^2, exact at every finite width, given that they
are positive.

The logarithms of the independent layer factors add up. With <.>_n the average over K ~ Binomial(n,
1/2) given K >= d,

    ReLU:    E ln prod_{j<d} chi^2_{K-j} = d ln 2 + <sum_j psi((K - j)/2)>_n,
             Var = <sum_j psi_1((K - j)/2)>_n + Var_n(sum_j psi((K - j)/2));
    linear:  the same with K = n.

For d = 1 and large n a layer has mean -5/(2n) - 49/(12 n^2) and variance 5/n + 37/(2 n^2) at
critical variance: the median of ||Ju|| falls twice as fast as the mean.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from deepinit.theory.numerics.homogeneous_layers import Layer, Output, network_layers
from deepinit.theory.numerics.layer_factors import exp, factor_log_moments
from deepinit.theory.numerics.validate import check_dimension, network_widths


class LogMoments(NamedTuple):
    """Mean and variance of log ||J u||^2 (or log Vol_d^2) given that it is finite, and the
    probability of that.

    Floats, or arrays [layers]. Where the probability is 0 the two others are nan.
    """

    mean: Any
    variance: Any
    p_alive: Any


def log_length_moments(
    widths: Any,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    negative_slope: float = 0.0,
    law: str = "normal",
    output: Output = "linear",
) -> LogMoments:
    """Mean and variance of log ||J u||^2 given J u != 0, and P(J u != 0), at any input and any unit
    tangent u.

        E   log||Ju||^2 = sum_{l<L} [ln(2 v_l / n_{l-1}) + <psi(K/2)>_{n_l}] + ln(2 v_L / n_{L-1}) +
        psi(n_L / 2) Var log||Ju||^2 = sum_{l<L} [<psi_1(K/2)>_{n_l} + Var_{n_l} psi(K/2)] +
        psi_1(n_L / 2) P(Ju != 0)      = prod_{l<L} (1 - 2^{-n_l})

    for ReLU with Gaussian weights, K ~ Binomial(n_l, 1/2) given K >= 1; natural logarithm.

    Args:
        widths: (n_0, n_1, ..., n_L): input width, hidden widths, output width.
        hidden_var: variance times fan_in of the hidden weights; None for 2 / (1 +
            negative_slope^2), He's 2 for ReLU.
        output_var: variance times fan_in of the output weights.
        negative_slope: slope of the activation for negative inputs; 0 for ReLU.
        law: "normal" or "orthogonal".
        output: "linear", "relu" or None, as in `length_moment`.

    Returns:
        `LogMoments` of floats. Halve the mean and quarter the variance for log ||J u||.

    Raises:
        SpecError: as `length_moment`.

    Valid for: as `length_moment`; exact. Absolute error about 1e-14 per layer.

    Reference: derivation in the module docstring.
    """
    return _last(
        log_length_moments_by_layer(
            widths,
            hidden_var=hidden_var,
            output_var=output_var,
            negative_slope=negative_slope,
            law=law,
            output=output,
        )
    )


def log_length_moments_by_layer(
    widths: Any,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    negative_slope: float = 0.0,
    law: str = "normal",
    output: Output = "linear",
) -> LogMoments:
    """`log_length_moments` after every layer l = 1, ..., L, given that layer l is reached with J_l
    u != 0.

    Args and formula as `log_length_moments`.

    Returns:
        `LogMoments` of arrays [L]; the last entries are those of `log_length_moments`.

    Raises:
        SpecError: as `length_moment`.

    Valid for: as `length_moment`; exact.

    Reference: derivation in the module docstring.
    """
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=negative_slope,
        law=law,
        output=output,
    )
    return cumulative_log_moments(layers)


def log_volume_moments(
    widths: Any,
    d: int,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    law: str = "normal",
    output: Output = "linear",
) -> LogMoments:
    """Mean and variance of log Vol_d^2 given Vol_d > 0, and P(Vol_d > 0), for ReLU; formula in the
    module docstring.

    Args:
        widths: (n_0, n_1, ..., n_L): input width, hidden widths, output width.
        d: dimension of the manifold, >= 1; 1 gives `log_length_moments`.
        hidden_var: variance times fan_in of the hidden weights; None for He's 2.
        output_var: variance times fan_in of the output weights.
        law: "normal" or "orthogonal".
        output: "linear", "relu" or None, as in `length_moment`.

    Returns:
        `LogMoments` of floats; p_alive is the probability that at least d units are on in every
        layer, and (nan, nan, 0) stands for an image that always collapses (a width below d, n_0
        included).

    Raises:
        SpecError: as `volume_moment`.

    Valid for: as `length_moment`; exact.

    Reference: derivation in the module docstring.
    """
    return _last(
        log_volume_moments_by_layer(
            widths, d, hidden_var=hidden_var, output_var=output_var, law=law, output=output
        )
    )


def log_volume_moments_by_layer(
    widths: Any,
    d: int,
    *,
    hidden_var: float | None = None,
    output_var: float = 1.0,
    law: str = "normal",
    output: Output = "linear",
) -> LogMoments:
    """`log_volume_moments` after every layer l = 1, ..., L, given that Vol_d is positive up to
    layer l.

    Args and formula as `log_volume_moments`.

    Returns:
        `LogMoments` of arrays [L]; the last entries are those of `log_volume_moments`.

    Raises:
        SpecError: as `volume_moment`.

    Valid for: as `length_moment`; exact.

    Reference: derivation in the module docstring.
    """
    check_dimension(d)
    layers = network_layers(
        widths,
        hidden_var=hidden_var,
        output_var=output_var,
        negative_slope=0.0,
        law=law,
        output=output,
        d=d,
    )
    moments = cumulative_log_moments(layers)
    if network_widths(widths)[0] >= d:
        return moments
    nothing = np.full(len(layers), math.nan)
    return LogMoments(nothing, nothing, np.zeros(len(layers)))


def log_alive(layers: list[Layer]) -> np.ndarray:
    """ln P(Vol_d > 0) after every layer."""
    return np.cumsum(
        [layer.factor.log_alive if layer.entry_var > 0.0 else -math.inf for layer in layers]
    )


def cumulative_log_moments(layers: list[Layer]) -> LogMoments:
    """Mean, variance and survival after every layer."""
    statistics = np.array([_layer(layer) for layer in layers])
    mean, variance = np.cumsum(statistics, axis=0).T
    return LogMoments(mean, variance, np.array([exp(value) for value in log_alive(layers)]))


def _layer(layer: Layer) -> tuple[float, float]:
    if layer.entry_var == 0.0:
        return math.nan, math.nan
    mean, variance = factor_log_moments(layer.factor)
    return layer.factor.d * math.log(layer.entry_var) + mean, variance


def _last(moments: LogMoments) -> LogMoments:
    return LogMoments(*(float(values[-1]) for values in moments))
