"""Kernels of a network at training and test inputs, cut into the blocks that inference needs."""

from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.specs import Spec
from deepinit.inference.checks import checked_kernel, checked_rows

ENGINES = ("recursion", "neural_tangents")


class Blocks(NamedTuple):
    """One kernel at n training and m test inputs.

    Attributes:
        train: [n, n].
        cross: [m, n], test inputs as rows.
        test: [m, m].
    """

    train: np.ndarray
    cross: np.ndarray
    test: np.ndarray


class NetworkBlocks(NamedTuple):
    """Both kernels of a network's output.

    Attributes:
        nngp: covariance of the initial outputs.
        ntk: tangent kernel, NTK parametrization, all layers trained.
    """

    nngp: Blocks
    ntk: Blocks


def kernel_for(
    spec: Spec,
    x_train: Any,
    x_test: Any,
    *,
    engine: Literal["recursion", "neural_tangents"] = "recursion",
) -> NetworkBlocks:
    """NNGP and NTK of a network's outputs at infinite width, in blocks for `posterior` and `trained`.

    Args:
        spec: an MLP with an output layer, or a residual network; without an output layer the kernels are those of its stream.
        x_train: [n, dimension].
        x_test: [m, dimension].
        engine: `recursion`, our own, for every spec; or `neural_tangents`, far faster for thousands of inputs where the activation has a
            closed form there (ReLU, erf, sin, GELU) and the spec can be expressed.

    Returns:
        `NetworkBlocks`, float64.

    Raises:
        SpecError: an MLP without an output layer; inputs of other shapes or dimensions; an unknown engine; what the engine refuses.

    Valid for: infinite width at the spec's depth.

    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK).
    """
    from deepinit.infinite_width.recursion import check_output_layer, kernel_layers

    if not isinstance(spec, Spec):
        raise SpecError(
            f"spec=an object of type {type(spec).__name__}",
            "di.MLP, di.ResNet or di.ConvResNet",
            "Write for example di.MLP((256,) * 3, output_width=1).",
        )
    if not (isinstance(engine, str) and engine in ENGINES):
        raise SpecError(f"engine={engine!r}", ", ".join(ENGINES), "Check the spelling.")
    train = checked_rows("x_train", x_train)
    test = checked_rows("x_test", x_test, train.shape[1])
    rows = np.concatenate([train, test])
    check_output_layer(spec)
    if engine == "recursion":
        layers = kernel_layers(spec, rows, last_only=True)
        nngp, ntk = layers.nngp[-1], layers.ntk[-1]
    else:
        from deepinit.infinite_width.kernels import nngp_and_ntk

        nngp, ntk = nngp_and_ntk(spec, rows)
    return NetworkBlocks(blocks_of(nngp, len(train)), blocks_of(ntk, len(train)))


def blocks_of(kernel: Any, num_train: int) -> Blocks:
    """Cuts a kernel at n + m inputs, the training inputs first.

    Args:
        kernel: [n + m, n + m].
        num_train: n.

    Raises:
        SpecError: no symmetric matrix; n that leaves no training or no test input.
    """
    matrix = checked_kernel("kernel", kernel)
    validate.integer(
        "num_train", num_train, 1, "Leave some inputs for the test.", most=len(matrix) - 1
    )
    return Blocks(
        matrix[:num_train, :num_train],
        matrix[num_train:, :num_train],
        matrix[num_train:, num_train:],
    )
