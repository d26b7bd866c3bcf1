"""Kernels of networks in standard parametrization.

Perceptrons of `training`: weights W^l [n_l, n_{l-1}] of variance v_l, hidden biases of variance
b_l. S^l = E[phi(z^l) phi(z'^l)], D^l = E[phi'(z^l) phi'(z'^l)], (z^l, z'^l) ~ N(0, K^l),
S^0 = x.x'/n_0,
    K^l = n_{l-1} v_l S^{l-1} + b_l,
    Theta^l = n_{l-1} S^{l-1} + 1 + n_{l-1} v_l D^{l-1} Theta^{l-1},      Theta^1 = x.x' + 1,
the 1 for a trained bias; at the output, without b and 1.
"""

from typing import NamedTuple

import numpy as np

from deepinit.core.specs import MLP
from deepinit.core.training_options import require_output_layer
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import in_blocks, layer_variances
from deepinit.infinite_width.validate import checked_limit, checked_rows


class TrainingKernels(NamedTuple):
    """NNGP and NTK of one output, in standard parametrization."""

    nngp: Float[np.ndarray, "num num"]
    ntk: Float[np.ndarray, "num num"]


def standard_kernels(spec: MLP, x: Real[Array, "num dimension"] | Plain) -> TrainingKernels:
    """NNGP and NTK of the output in standard parametrization, in float64.

    Output layer without bias; hidden biases are trained. Accuracy of `recursion.kernel_layers`.
    Raises SpecError: no output layer, constant biases, unresolved activation.
    Valid for: exact means of f f' and of the empirical NTK at every width for one hidden layer with
        normal weights and biases and for linear networks; else error O(1/width).
    Reference: arXiv 2001.07301.
    """
    x = checked_rows(x)
    require_output_layer(spec)
    weight_vars, bias_vars = layer_variances(spec, x.shape[1])
    fan_ins = np.asarray((x.shape[1], *spec.widths), np.float64)
    hidden = np.append(np.ones(spec.depth), 0.0)
    with host_float64():
        from deepinit.infinite_width.pairs import OwnParts
        from deepinit.infinite_width.resolution import check_resolution

        activated = weight_vars[:-1], bias_vars[:-1]
        check_resolution(spec.activation, np.mean(x**2, axis=1), *activated)
        own = OwnParts(fan_ins, hidden * (spec.bias_law is not None))
        layers = weight_vars, hidden * bias_vars, own
        nngp, ntk = in_blocks(spec.activation, x, layers, last_only=True)
    return checked_limit(TrainingKernels(nngp[0], ntk[0]), is_kernel=True)
