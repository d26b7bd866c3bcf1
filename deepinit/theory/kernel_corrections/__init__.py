"""Kernels of random networks at finite width: what NNGP and tangent kernel leave out at order
1/width. Every public function in one place.

First order in 1/width, any activation, any inputs and widths, layer by layer: `kernel_corrections`,
`tangent_covariance`. What follows for outputs and logarithms: `output_statistics`,
`output_fourth_cumulant`, `log_kernel`. How it grows with depth: `criticality_class`. Exact at every
width: one input and homogeneous activations `homogeneous_kernel_layers`,
`homogeneous_kernel_moment`, `homogeneous_kernel_log`, `homogeneous_ntk_moments`; linear networks
`linear_kernel_layers`, `linear_kernel_second_moments`. Depth and width to infinity together:
`deep_wide_kernel`, `deep_wide_ntk_ratio`.

K^1 is the covariance of the first layer's preactivations; weights have variance weight_var /
fan_in. r = sum of 1/width over hidden layers is the parameter of the expansion.
"""

from deepinit.theory.kernel_corrections.criticality import Criticality, criticality_class
from deepinit.theory.kernel_corrections.exact import (
    ExactKernel,
    LogMoments,
    TangentMoments,
    homogeneous_kernel_layers,
    homogeneous_kernel_log,
    homogeneous_kernel_moment,
    homogeneous_ntk_moments,
)
from deepinit.theory.kernel_corrections.expansion import kernel_corrections
from deepinit.theory.kernel_corrections.linear_network import (
    linear_kernel_layers,
    linear_kernel_second_moments,
)
from deepinit.theory.kernel_corrections.outputs import (
    LogKernel,
    LogNormal,
    OutputStatistics,
    deep_wide_kernel,
    deep_wide_ntk_ratio,
    log_kernel,
    output_fourth_cumulant,
    output_statistics,
)
from deepinit.theory.kernel_corrections.result import KernelCorrections, tangent_covariance

__all__ = [
    "Criticality",
    "ExactKernel",
    "KernelCorrections",
    "LogKernel",
    "LogMoments",
    "LogNormal",
    "OutputStatistics",
    "TangentMoments",
    "criticality_class",
    "deep_wide_kernel",
    "deep_wide_ntk_ratio",
    "homogeneous_kernel_layers",
    "homogeneous_kernel_log",
    "homogeneous_kernel_moment",
    "homogeneous_ntk_moments",
    "kernel_corrections",
    "linear_kernel_layers",
    "linear_kernel_second_moments",
    "log_kernel",
    "output_fourth_cumulant",
    "output_statistics",
    "tangent_covariance",
]
