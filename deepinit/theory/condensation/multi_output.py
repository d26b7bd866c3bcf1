"""Condensation with several outputs, in convolutional networks, and in the deeper layers, for multiplicity 1.

K outputs f = A^T sigma(W z): with the output residuals e_i at initialization, V = -(1/n) sum_i e_i z_i^T (K x D), gradient flow is
A' = s W V^T, W' = s A V. Singular vectors V = sum_k s_k g_k h_k^T decouple it; the component along h_k grows like e^{|s| s_k t}. So rows of W
turn to +-h_1, and since |w| grows like e^{|s| s_1 t}, misalignment falls like |w|^{-(1 - s_2/s_1)}.

A read-out with one weight per position of a convolutional layer is the same with positions for outputs:
V = (1/n) sum_i y_i patches_i (positions x patch).
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.theory.condensation.counting import count_lines
from deepinit.theory.condensation.multiplicity import multiplicity
from deepinit.theory.condensation.orientations import (
    Orientations,
    check_not_zero,
    predict_orientations,
)
from deepinit.theory.condensation.target_form import target_form
from deepinit.theory.condensation.validate import VANISHING, check_rows, check_targets, with_bias


class MatrixOrientations(NamedTuple):
    """The two opposite directions on which neurons with several outputs condense.

    Attributes:
        directions: [2, D], +- the top right singular vector.
        outputs: [2, K], the unit direction of the output weights that go with each.
        rate: s_1 |sigma'(0)|, the rate of growth.
        kappa: 1 - s_2/s_1, the condensation exponent; 1 for a matrix of rank 1.
        matrix: V [K, D] (positions for outputs with a read-out by position), whose singular vectors these are.
    """

    directions: np.ndarray
    outputs: np.ndarray
    rate: float
    kappa: float
    matrix: np.ndarray

    @property
    def num_lines(self) -> int:
        """Lines, u and -u as one: `count_lines` of the directions."""
        return count_lines(self.directions)


def multi_output_orientations(
    x: Any,
    targets: Any,
    activation: Any,
    *,
    loss: Literal["squared", "cross_entropy"] = "squared",
    bias: bool = True,
) -> MatrixOrientations:
    """The orientations of the input weights of a two-layer network with K outputs, multiplicity 1.

    +- the top right singular vector of V = -(1/n) sum_i e_i z_i^T; e_i = -y_i for loss 1/(2n) sum |f - y|^2, e_i = softmax(0) - onehot_i for the
    mean cross-entropy.

    Args:
        x: inputs [n, d], or [n] for d = 1.
        targets: "squared": [n, K]; "cross_entropy": class numbers [n] in 0, ..., K-1, or one-hot rows [n, K].
        activation: an `Activation`, a built-in's name or any JAX function, of multiplicity 1 with sigma(0) = 0.
        loss: which loss.
        bias: whether hidden neurons have a bias.

    Returns:
        `MatrixOrientations`.

    Raises:
        SpecError: shapes that do not fit, classes that are no whole numbers, another multiplicity or sigma(0) != 0, V = 0.

    Valid for: outputs small against the targets (cross-entropy: against 1), gradient flow. Condensation is poor where kappa is small.

    Reference: module docstring.
    """
    inputs = check_rows("x", x)
    slope = _linear_slope(activation)
    if loss == "squared":
        residual = -_check_outputs(targets, len(inputs))
    elif loss == "cross_entropy":
        onehot = _onehot(targets, len(inputs))
        residual = 1.0 / onehot.shape[1] - onehot
    else:
        raise SpecError(
            f"loss={loss!r}", "'squared' or 'cross_entropy'", "Others are not derived here."
        )
    rows = with_bias(inputs, bias)
    return _singular_orientations(
        -residual.T @ rows / len(rows), np.abs(residual).T @ np.abs(rows) / len(rows), slope
    )


def cnn_orientations(
    patches: Any,
    y: Any,
    activation: Any,
    *,
    readout: Literal["average", "position"] = "average",
    bias: bool = True,
) -> Orientations | MatrixOrientations:
    """The orientations of the filters of a two-layer convolutional network with one output.

    "average", f = sum_j a_j mean_k sigma(w_j.patch_k): as of a two-layer network whose samples are all patches; p = 1: +- sum_i y_i mean patch_i.
    "position", f = sum_jk a_jk sigma(w_j.patch_k): +- the top right singular vector of (1/n) sum_i y_i patches_i, p = 1 only; its gap is typically
    small, and so is kappa.

    Args:
        patches: [n, positions, patch entries], what the filter sees at each position.
        y: targets [n].
        activation: an `Activation`, a built-in's name or any JAX function.
        readout: "average" (global average pooling) or "position" (one output weight per filter and position).
        bias: whether filters have a bias, their last coordinate.

    Returns:
        `Orientations` for "average", `MatrixOrientations` (outputs: [2, positions]) for "position".

    Raises:
        SpecError: shapes that do not fit; as `predict_orientations` and `multi_output_orientations`.

    Valid for: as `predict_orientations`, square loss, one linear output.

    Reference: module docstring; arXiv:2305.09947 for the network.
    """
    stack = np.asarray(patches)
    if stack.ndim != 3 or not stack.size:
        raise SpecError(
            f"patches of shape {stack.shape}",
            "[samples, positions, patch entries]",
            "Unfold the images first.",
        )
    num_samples, positions, entries = stack.shape
    rows = check_rows("patches", stack.reshape(-1, entries))
    targets = check_targets(y, num_samples)
    if readout == "average":
        return predict_orientations(rows, np.repeat(targets, positions), activation, bias=bias)
    if readout != "position":
        raise SpecError(f"readout={readout!r}", "'average' or 'position'", "Pooling is 'average'.")
    seen = with_bias(rows, bias).reshape(num_samples, positions, -1)
    matrix = np.tensordot(targets, seen, axes=1) / num_samples
    sizes = np.tensordot(np.abs(targets), np.abs(seen), axes=1) / num_samples
    return _singular_orientations(matrix, sizes, _linear_slope(activation))


class LayerOrientation(NamedTuple):
    """The line on which the rows of a deep network's layer condense.

    Attributes:
        direction: [m (+ 1)], unit; rows turn to + or - it.
        bias_share: |last coordinate|, 0 without bias: near 1 the layer fits a constant and orientations say nothing.
    """

    direction: np.ndarray
    bias_share: float


def layer_orientation(features: Any, y: Any, *, bias: bool = True) -> LayerOrientation:
    """The line to which the rows of layer k of a deep network turn, multiplicity 1: +- sum_i y_i (h_i^{k-1}, 1).

    The gradient of row j is the sum over samples of -e_i h_i^{k-1} times a factor that does not depend on the sample at leading order. Layer 1:
    h^0 = x gives +-v. Layer 2: h^1 = W^1 x s, so +-W^1 v without bias; with bias and targets whose mean is not 0 the appended 1 is large against
    the tiny h^1, and rows turn to the bias: center the targets.

    Args:
        features: h_i^{k-1}, the outputs of the preceding layer on the data, [n, m].
        y: targets [n] (minus the network's outputs if these are not small).
        bias: whether the layer has a bias.

    Returns:
        `LayerOrientation`.

    Raises:
        SpecError: shapes that do not fit, sum_i y_i h_i = 0.

    Valid for: gradient flow, smooth activations with sigma'(0) != 0, tiny weights in all layers.

    Reference: arXiv:2105.11686, the direction in layer k.
    """
    rows = check_rows("features", features)
    form = target_form(rows, check_targets(y, len(rows)), 1, 1.0, bias=bias)
    check_not_zero(form)
    v = form.gradient(np.ones(form.dimension))
    direction = v / np.linalg.norm(v)
    return LayerOrientation(direction, abs(float(direction[-1])) if bias else 0.0)


def _singular_orientations(
    matrix: np.ndarray, sizes: np.ndarray, slope: float
) -> MatrixOrientations:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    if values[0] <= VANISHING * np.linalg.norm(sizes):
        raise SpecError(
            "targets without linear correlation with the inputs (V = 0)",
            "sum_i e_i z_i^T != 0",
            "By symmetry nothing moves at leading order, and the next order of the activation decides.",
        )
    second = float(values[1]) if len(values) > 1 else 0.0
    sign = math.copysign(1.0, slope)
    return MatrixOrientations(
        np.array([right[0], -right[0]]),
        sign * np.array([left[:, 0], -left[:, 0]]),
        abs(slope) * float(values[0]),
        1.0 - second / float(values[0]),
        matrix,
    )


def _linear_slope(activation: Any) -> float:
    found = multiplicity(activation)
    if found.p != 1 or found.value_at_0:
        raise SpecError(
            f"an activation of multiplicity {found.p} with sigma(0) = {found.value_at_0:.4g}",
            "multiplicity 1 and sigma(0) = 0",
            "Subtract sigma(0) from the activation; higher multiplicities are derived for one output only.",
        )
    return found.c


def _check_outputs(targets: Any, num_samples: int) -> np.ndarray:
    array = check_rows("targets", targets)
    if len(array) != num_samples:
        raise SpecError(
            f"targets of shape {array.shape} with {num_samples} samples",
            "shape [n, K]",
            "One row per sample.",
        )
    return array


def _onehot(targets: Any, num_samples: int) -> np.ndarray:
    array = check_rows("targets", targets)
    whole = bool((array == np.floor(array)).all() and (array >= 0).all())
    if array.shape == (num_samples, 1) and whole:
        classes = array[:, 0].astype(np.int64)
        array = np.eye(int(classes.max()) + 1)[classes] if classes.max() < 100_000 else array
    valid = (
        array.shape[0] == num_samples and array.shape[1] > 1 and np.isin(array, (0.0, 1.0)).all()
    )
    if not (valid and (array.sum(axis=1) == 1.0).all()):
        raise SpecError(
            f"targets of shape {np.shape(targets)} that are no classes",
            "class numbers [n] from 0, two classes or more, or one-hot rows [n, K]",
            "Number the classes from 0.",
        )
    return array
