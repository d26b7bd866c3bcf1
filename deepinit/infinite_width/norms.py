"""Mean squares of activations, layer by layer, at infinite width."""

import dataclasses

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.residual_specs import ConvResNet
from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.limits import checked_limit
from deepinit.infinite_width.recursion import kernel_layers, layer_variances
from deepinit.infinite_width.residual import residual_layers


def mean_squares(spec: Spec, x: np.ndarray) -> np.ndarray:
    """|x^l|^2 / width, l = 1..depth, when all widths are infinite: E[phi(z^l)^2], or of a residual network's stream after block l.

    With K^{l+1} = w_{l+1} E[phi(z^l)^2] + b_{l+1} on the diagonal of the NNGP kernel; residual networks: `residual.residual_layers`.

    Args:
        spec: the network; its output layer plays no part.
        x: [num, dimension].

    Returns:
        [depth, num] float64.

    Raises:
        SpecError: constant biases, rows that are not finite, what `residual.residual_layers` refuses.

    Valid for: widths to infinity at fixed depth, error O(depth / width).

    Reference: arXiv 1711.00165; `recursion.kernel_layers`.
    """
    if not isinstance(spec, MLP):
        return residual_layers(spec, x).mean_square
    return np.stack([np.diagonal(kernel) for kernel in overlaps(spec, x)])


def overlaps(spec: Spec, x: np.ndarray) -> np.ndarray:
    """<x_i^l, x_j^l> / width, l = 1..depth, when all widths are infinite: E[phi(z_i^l) phi(z_j^l)], or of a residual stream after block l.

    Args, Valid for and Reference: as `mean_squares`.

    Returns:
        [depth, num, num] float64.

    Raises:
        SpecError: as `mean_squares`; a convolutional network, whose overlaps at infinite width differ from position to position.
    """
    if isinstance(spec, ConvResNet):
        raise SpecError(
            "overlaps of the images of a convolutional network at infinite width",
            "fully connected networks",
            "deepinit.infinite_width.residual.position_kernels has them by position.",
        )
    if not isinstance(spec, MLP):
        return residual_layers(spec, x).nngp[: spec.depth]
    one_more = dataclasses.replace(
        spec, widths=(*spec.widths, 1), output_width=None, output_law=None
    )
    weight_vars, bias_vars = layer_variances(one_more, np.shape(x)[1])
    with np.errstate(invalid="ignore"):  # weights of variance 0
        found = (kernel_layers(one_more, x).nngp[1:] - bias_vars[1:, None, None]) / weight_vars[
            1:, None, None
        ]
    return checked_limit(found, "overlap", along="layer")
