"""Mean squares of activations, layer by layer, at infinite width."""

import dataclasses

import numpy as np

from deepinit.core.specs import MLP, Spec
from deepinit.infinite_width.recursion import kernel_layers, layer_variances


def mean_squares(spec: Spec, x: np.ndarray) -> np.ndarray:
    """E[phi(z^l)^2], l = 1..depth: |x^l|^2 / width when all widths are infinite.

    With K^{l+1} = w_{l+1} E[phi(z^l)^2] + b_{l+1} on the diagonal of the NNGP kernel.

    Args:
        spec: an MLP; its output layer plays no part.
        x: [num, dimension].

    Returns:
        [depth, num] float64.

    Raises:
        SpecError: a spec that is no MLP, constant biases, rows that are not finite.

    Valid for: widths to infinity at fixed depth, error O(depth / width).

    Reference: arXiv 1711.00165; `recursion.kernel_layers`.
    """
    one_more = spec
    if isinstance(spec, MLP):
        one_more = dataclasses.replace(spec, widths=(*spec.widths, 1), output_width=None, output_law=None)
    weight_vars, bias_vars = layer_variances(one_more, np.shape(x)[1])  # type: ignore[arg-type]
    diagonals = np.stack([np.diagonal(kernel) for kernel in kernel_layers(one_more, x).nngp])  # type: ignore[arg-type]
    return (diagonals[1:] - bias_vars[1:, None]) / weight_vars[1:, None]
