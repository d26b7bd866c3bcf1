"""Our kernels at infinite width against neural-tangents."""

from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.inputs import Inputs
from deepinit.core.layers.layer import Layer
from deepinit.core.layers.outline import activations
from deepinit.core.layers.program import program
from deepinit.infinite_width.kernel_matrices import kernel_matrices, rows_of
from deepinit.infinite_width.kernels import nngp_and_ntk, program_kernels
from deepinit.infinite_width.neural_tangents.layers import is_numerical
from deepinit.infinite_width.recursion import kernel_layers


class Agreement(NamedTuple):
    """Largest differences of kernels of the last layer, as shares of the diagonal.

    `quadrature`: activations that neural-tangents integrates numerically.
    """

    nngp: float
    ntk: float
    num_inputs: int
    quadrature: tuple[str, ...] = ()


def agreement(net: Any, inputs: Inputs, most_inputs: int = 4) -> Agreement:
    """Largest |K_ij - K'_ij| / sqrt(K'_ii K'_jj), K of our recursion, K' of neural-tangents.

    `net`: an architecture, or a network of `di.layers` that ends in one vector. The first
    `most_inputs` rows of `inputs` are compared. Seconds: both routes are compiled.
    Raises SpecError: a network that neural-tangents or the recursion cannot express.
        ResourceError: neural-tangents is absent or does not work.
    """
    rows, shape = rows_of(inputs, None)
    rows = rows[:most_inputs]
    if isinstance(net, Layer):
        theirs = program_kernels(program(net, shape), rows)
        nngp, ntk = kernel_matrices(net, rows, positions=shape.positions)
    else:
        theirs = nngp_and_ntk(net, rows)
        nngp, ntk = (part[-1] for part in kernel_layers(net, rows, last_only=True))
    differences = largest_difference(nngp, theirs[0]), largest_difference(ntk, theirs[1])
    numerical = tuple(each.name for each in _activations(net) if is_numerical(each))
    return Agreement(*differences, len(rows), numerical)


def largest_difference(ours: Any, theirs: Any) -> float:
    """Largest difference of two kernels as a share of the second one's diagonal; 0 / 0 = 0."""
    size = np.sqrt(np.diag(theirs))
    difference = np.abs(np.asarray(ours) - theirs)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = np.where(difference == 0, 0.0, difference / np.outer(size, size))
    return float(np.max(shares))


def _activations(net: Any) -> tuple[Activation, ...]:
    if isinstance(net, Layer):
        return activations(net)
    found = (getattr(net, name, None) for name in ("activation", "inner_activation"))
    return tuple(each for each in found if each is not None)
