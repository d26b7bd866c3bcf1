"""Kernels at training and test inputs, in blocks."""

from typing import Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.specs import Spec
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.inference import validate as checks

ENGINES = ("recursion", "neural_tangents")


class Blocks(NamedTuple):
    """One kernel at n training and m test inputs.

    Attributes:
        train: [n, n].
        cross: [m, n].
        test: [m, m].
    """

    train: Float[np.ndarray, "n n"]
    cross: Float[np.ndarray, "m n"]
    test: Float[np.ndarray, "m m"]


class NetworkBlocks(NamedTuple):
    """NNGP and NTK (NTK parametrization, all layers trained) of the initial outputs."""

    nngp: Blocks
    ntk: Blocks


def kernel_for(
    spec: Spec,
    x_train: Real[Array, "n dimension"] | Plain,
    x_test: Real[Array, "m dimension"] | Plain,
    *,
    engine: Literal["recursion", "neural_tangents"] = "recursion",
) -> NetworkBlocks:
    """NNGP and NTK of a network's outputs at infinite width, in blocks.

    Args:
        spec: an MLP with an output layer, or a residual network (without output layer: its stream).
        x_train: [n, dimension].
        x_test: [m, dimension].
        engine: `recursion`, for every spec; `neural_tangents`, far faster for thousands of inputs
            in closed form (ReLU, erf, sin, GELU).

    Raises:
        SpecError: an MLP without output layer; a network that the engine cannot express.

    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK).
    """
    from deepinit.infinite_width.recursion import check_output_layer, kernel_layers

    remedy = "Example: di.MLP((256,) * 3, output_width=1)."
    validate.instance("spec", spec, Spec, "di.MLP, di.ResNet or di.ConvResNet", remedy)
    validate.choice("engine", engine, ENGINES)
    train = checks.rows("x_train", x_train)
    test = checks.rows("x_test", x_test, train.shape[1])
    rows = np.concatenate([train, test])
    check_output_layer(spec)
    if engine == "recursion":
        layers = kernel_layers(spec, rows, last_only=True)
        nngp, ntk = layers.nngp[-1], layers.ntk[-1]
    else:
        from deepinit.infinite_width.kernels import nngp_and_ntk

        nngp, ntk = nngp_and_ntk(spec, rows)
    return NetworkBlocks(blocks_of(nngp, len(train)), blocks_of(ntk, len(train)))


def blocks_of(kernel: Real[Array, "inputs inputs"] | Plain, num_train: int) -> Blocks:
    """Blocks of a kernel at n + m inputs, training inputs first.

    Args:
        kernel: [n + m, n + m], symmetric.
        num_train: n >= 1, with m >= 1.
    """
    matrix = checks.kernel("kernel", kernel)
    remedy = "Leave some inputs for the test."
    validate.integer("num_train", num_train, 1, remedy, most=len(matrix) - 1)
    return Blocks(
        matrix[:num_train, :num_train],
        matrix[num_train:, :num_train],
        matrix[num_train:, num_train:],
    )
