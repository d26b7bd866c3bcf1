"""Our kernels at infinite width against neural-tangents."""

import warnings
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.inputs import Inputs
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.outline import activations
from deepinit.infinite_width.kernel_matrices import kernel_matrices, rows_of
from deepinit.infinite_width.kernels import nngp_and_ntk
from deepinit.infinite_width.neural_tangents.composed import composed_stax_network
from deepinit.infinite_width.neural_tangents.layers import is_numerical
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import kernel_layers
from deepinit.infinite_width.validate import checked_limit


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
        theirs = _composed(net, rows, shape)
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


def _composed(net: Layer, rows: np.ndarray, shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    with host_float64(), warnings.catch_warnings():
        import jax

        # Branches end in fresh weights and are independent, which it warns not to verify.
        warnings.simplefilter("ignore", UserWarning)
        kernel_fn = composed_stax_network(net, shape)[2]
        x = rows.reshape(len(rows), *(shape.positions or ()), -1)
        kernel = jax.jit(lambda x: kernel_fn(x, None, ("nngp", "ntk")))(x)
        nngp, ntk = np.asarray(kernel.nngp), np.asarray(kernel.ntk)
    return checked_limit(nngp, "NNGP kernel"), checked_limit(ntk, "NTK kernel")
