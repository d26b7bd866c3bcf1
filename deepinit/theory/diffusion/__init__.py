"""Residual networks of infinite depth, and of infinite depth and width.

Blocks x + phi(dW psi(x) + db), dW_ij ~ N(0, weight_var dt / D), db_i ~ N(0, bias_var dt),
dt = horizon / depth, psi = id unless stated. Only a = phi'(0) and b = phi''(0) survive infinite
depth. Symbols: D = width, T = horizon, sigma_w^2 = weight_var, sigma_b^2 = bias_var, kappa = a^2
weight_var, C = kappa T, E = e^C, r = bias_var / weight_var.
"""

from deepinit.theory.diffusion.complete_network import (
    LinearModel,
    NetworkKernels,
    linear_model,
    network_kernels,
)
from deepinit.theory.diffusion.convolution import ConvolutionLimit, convolution_limit, patch_indices
from deepinit.theory.diffusion.correlated import CorrelatedMoments, correlated_moments
from deepinit.theory.diffusion.double_limit import DoubleLimit, double_limit, explosion_times
from deepinit.theory.diffusion.finite_depth import (
    DepthBias,
    LinearNetwork,
    depth_bias,
    linear_network,
)
from deepinit.theory.diffusion.growth import DiffusionConstants, diffusion_constants, may_explode
from deepinit.theory.diffusion.inner_activation import InnerLimit, inner_limit
from deepinit.theory.diffusion.jacobian import JacobianLaw, bias_kernel_variance, jacobian_law
from deepinit.theory.diffusion.kurtosis import coordinate_excess_kurtosis
from deepinit.theory.diffusion.moments import (
    OverlapMoments,
    log_mean_square_law,
    mean_square_moments,
    overlap_moments,
)
from deepinit.theory.diffusion.two_layer import two_layer_limit, two_layer_log_mean_square_law
from deepinit.theory.numerics import LogNormal

__all__ = [
    "ConvolutionLimit",
    "CorrelatedMoments",
    "DepthBias",
    "DiffusionConstants",
    "DoubleLimit",
    "InnerLimit",
    "JacobianLaw",
    "LinearModel",
    "LinearNetwork",
    "LogNormal",
    "NetworkKernels",
    "OverlapMoments",
    "bias_kernel_variance",
    "convolution_limit",
    "coordinate_excess_kurtosis",
    "correlated_moments",
    "depth_bias",
    "diffusion_constants",
    "double_limit",
    "explosion_times",
    "inner_limit",
    "jacobian_law",
    "linear_model",
    "linear_network",
    "log_mean_square_law",
    "may_explode",
    "mean_square_moments",
    "network_kernels",
    "overlap_moments",
    "patch_indices",
    "two_layer_limit",
    "two_layer_log_mean_square_law",
]
