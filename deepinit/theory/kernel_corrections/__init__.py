"""NNGP and tangent kernels of random networks at finite width.

K^1: covariance of first-layer preactivations; weights have variance weight_var / fan_in. Expansion
parameter r = sum of 1/width over hidden layers.
"""

from deepinit.theory.kernel_corrections.criticality import Criticality, criticality_class
from deepinit.theory.kernel_corrections.exact import (
    ExactKernel,
    KernelLogMoments,
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
    OutputStatistics,
    deep_wide_kernel,
    deep_wide_ntk_ratio,
    log_kernel,
    output_fourth_cumulant,
    output_statistics,
)
from deepinit.theory.kernel_corrections.result import KernelCorrections, tangent_covariance
from deepinit.theory.numerics import LogNormal

__all__ = [
    "Criticality",
    "ExactKernel",
    "KernelCorrections",
    "KernelLogMoments",
    "LogKernel",
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
