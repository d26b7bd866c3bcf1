"""Length and volume distortion of random networks, exact at every finite width.

- Network: `HomogeneousNetwork`.
- Moments: `length_moment`, `length_moments_by_layer`, `volume_moment`; m = 1 for any rectifiable
  curve or d-manifold.
- Logarithms: `log_length_moments`, `log_volume_moments`, `..._by_layer`.
- Distribution: `length_cdf`.
- One layer: `layer_factor_moment`, `output_factor_moment`, `growth_threshold`.
- Expansions in 1/width: `expansion`, `log_factor_series`.
- Bounds: `price_tanner_bound`, `raghu_lower_bound`, `raghu_upper_bound`.
- Circle: `circle_relative_variance`, `circle_relative_variances_by_layer`,
  `circle_output_relative_variance`.
- Residual blocks: `residual_length_moment`, `residual_log_length_moments`.
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
