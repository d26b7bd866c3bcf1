"""Length and volume distortion of random networks, exact at every finite width.

m = 1: any rectifiable curve or d-manifold.
"""

from deepinit.theory.lengths.bounds import price_tanner_bound, raghu_lower_bound, raghu_upper_bound
from deepinit.theory.lengths.circle import (
    circle_output_relative_variance,
    circle_relative_variance,
    circle_relative_variances_by_layer,
)
from deepinit.theory.lengths.distribution import length_cdf
from deepinit.theory.lengths.expansion import expansion, log_factor_series
from deepinit.theory.lengths.log_moments import (
    LogMoments,
    log_length_moments,
    log_length_moments_by_layer,
    log_volume_moments,
    log_volume_moments_by_layer,
)
from deepinit.theory.lengths.moments import length_moment, length_moments_by_layer, volume_moment
from deepinit.theory.lengths.residual import residual_length_moment, residual_log_length_moments
from deepinit.theory.numerics.homogeneous_layers import HomogeneousNetwork
from deepinit.theory.numerics.layer_factors import (
    growth_threshold,
    layer_factor_moment,
    output_factor_moment,
)

__all__ = [
    "HomogeneousNetwork",
    "LogMoments",
    "circle_output_relative_variance",
    "circle_relative_variance",
    "circle_relative_variances_by_layer",
    "expansion",
    "growth_threshold",
    "layer_factor_moment",
    "length_cdf",
    "length_moment",
    "length_moments_by_layer",
    "log_factor_series",
    "log_length_moments",
    "log_length_moments_by_layer",
    "log_volume_moments",
    "log_volume_moments_by_layer",
    "output_factor_moment",
    "price_tanner_bound",
    "raghu_lower_bound",
    "raghu_upper_bound",
    "residual_length_moment",
    "residual_log_length_moments",
    "volume_moment",
]
