"""Kernels at training and test inputs, in blocks."""

from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers.layer import Layer
from deepinit.core.specs import Spec
from deepinit.core.typing import Array, Float, Plain, Real
from deepinit.inference import validate as checks

ENGINES = ("recursion", "neural_tangents")


class Blocks(NamedTuple):
    """One kernel at n training and m test inputs."""

    train: Float[np.ndarray, "n n"]
    cross: Float[np.ndarray, "m n"]
    test: Float[np.ndarray, "m m"]


class NetworkBlocks(NamedTuple):
    """NNGP and NTK (NTK parametrization, all layers trained) of the initial outputs."""

    nngp: Blocks
    ntk: Blocks


def kernel_for(
    spec: Spec | Layer,
    x_train: Real[Array, "n dimension"] | Plain,
    x_test: Real[Array, "m dimension"] | Plain,
    *,
    engine: Literal["recursion", "neural_tangents"] = "recursion",
    positions: tuple[int, ...] | None = None,
) -> NetworkBlocks:
    """NNGP and NTK of a network's outputs at infinite width, in blocks.

    Args:
        spec: an MLP with an output layer, a residual network (without output layer: its stream), or
            a composed network (`di.layers`) whose output is one vector.
        engine: `recursion`, for every network; `neural_tangents`, for architectures that it has.
        positions: of flattened inputs to composed networks, (length,) or (height, width).

    Raises SpecError: an MLP without output layer; a network that the engine cannot express.
    Reference: arXiv 1711.00165 (NNGP), arXiv 1806.07572 (NTK).
    """
    from deepinit.infinite_width.kernel_matrices import kernel_matrices

    remedy = "Example: di.MLP((256,) * 3, output_width=1)."
    validate.instance("spec", spec, Spec | Layer, "a network of di.layers, or di.MLP, ...", remedy)
    validate.choice("engine", engine, ENGINES)
    train = checks.rows("x_train", x_train)
    test = checks.rows("x_test", x_test, train.shape[1])
    rows = np.concatenate([train, test])
    if engine == "recursion":
        nngp, ntk = kernel_matrices(spec, rows, positions=positions)
    else:
        nngp, ntk = _by_neural_tangents(spec, rows)
    assert ntk is not None
    return NetworkBlocks(blocks_of(nngp, len(train)), blocks_of(ntk, len(train)))


def _by_neural_tangents(spec: Any, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from deepinit.infinite_width.kernels import nngp_and_ntk
    from deepinit.infinite_width.recursion import check_output_layer

    if isinstance(spec, Layer):
        given = "a composed network for neural-tangents"
        raise SpecError(given, "di.MLP, di.ResNet or di.ConvResNet", "Leave engine out.")
    check_output_layer(spec)
    return nngp_and_ntk(spec, rows)


def blocks_of(kernel: Real[Array, "inputs inputs"] | Plain, num_train: int) -> Blocks:
    """Blocks of a symmetric kernel at n + m inputs, n = num_train >= 1 first, m >= 1."""
    matrix = checks.kernel("kernel", kernel)
    remedy = "Leave some inputs for the test."
    validate.integer("num_train", num_train, 1, remedy, most=len(matrix) - 1)
    return Blocks(
        matrix[:num_train, :num_train],
        matrix[num_train:, :num_train],
        matrix[num_train:, num_train:],
    )
