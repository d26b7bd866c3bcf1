"""Condensation with several outputs, in convolutional networks and deeper layers (p = 1).

f = A^T sigma(W z), s = sigma'(0), V (K x D) of `multi_output_orientations`: A' = s W V^T, W' = s A
V. Along the right singular vector h_k of singular value s_k, W grows like e^{|s| s_k t}: rows turn
to +-h_1, misalignment falls like |w|^{-(1 - s_2/s_1)}.
"""

import math
from typing import Any, Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Array, Float, Plain, Real
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

    directions: +- the top right singular vector of V; outputs: unit output weights; rate: s_1
    |sigma'(0)|; kappa: 1 - s_2/s_1, the condensation exponent; matrix: V.
    """

    directions: Float[np.ndarray, "2 D"]
    outputs: Float[np.ndarray, "2 K"]
    rate: float
    kappa: float
    matrix: Float[np.ndarray, "K D"]

    @property
    def num_lines(self) -> int:
        """Number of lines, u and -u as one."""
        return count_lines(self.directions)


def multi_output_orientations(
    x: Real[Array, "n *d"] | Plain,
    targets: Real[Array, "n *K"] | Plain,
    activation: ActivationLike,
    *,
    loss: Literal["squared", "cross_entropy"] = "squared",
    bias: bool = True,
) -> MatrixOrientations:
    """Orientations of input weights of a two-layer network with K outputs, p = 1.

    +- the top right singular vector of V = -(1/n) sum_i e_i z_i^T, e_i the initial residuals: -y_i
    for the loss 1/(2n) sum |f - y|^2, softmax(0) - onehot_i for the mean cross-entropy
    (targets: classes from 0, or one-hot rows). Other arguments: `target_form`. SpecError:
    multiplicity > 1, sigma(0) != 0, V = 0. Valid for: gradient flow, outputs small against the
    targets (cross-entropy: against 1). Poor condensation for small kappa.
    """
    inputs = check_rows("x", x)
    derivative = _derivative_at_zero(activation)
    validate.choice("loss", loss, ("squared", "cross_entropy"), "Others are not derived.")
    if loss == "squared":
        outputs = check_rows("targets", targets)
        given = f"targets of shape {outputs.shape} with {len(inputs)} samples"
        validate.require(len(outputs) == len(inputs), given, "shape [n, K]", "One row per sample.")
        residual = -outputs
    else:
        onehot = _onehot(targets, len(inputs))
        residual = 1.0 / onehot.shape[1] - onehot
    rows = with_bias(inputs, bias)
    matrix = -residual.T @ rows / len(rows)
    sizes = np.abs(residual).T @ np.abs(rows) / len(rows)
    return _singular_orientations(matrix, sizes, derivative)


def cnn_orientations(
    patches: Real[Array, "n positions entries"] | Plain,
    y: Real[Array, "n *column"] | Plain,
    activation: ActivationLike,
    *,
    readout: Literal["average", "position"] = "average",
    bias: bool = True,
) -> Orientations | MatrixOrientations:
    """Orientations of the filters of a two-layer convolutional network, one output.

    "average" (global pooling), f = sum_j a_j mean_k sigma(w_j.patch_k): a two-layer network on all
    patches. "position" (one weight per filter and position), f = sum_jk a_jk sigma(w_j.patch_k),
    p = 1 only: `MatrixOrientations` +- the top right singular vector of V = (1/n) sum_i y_i
    patches_i, kappa typically small; outputs: [2, positions].

    The bias of a filter is its last coordinate. Errors and range: `predict_orientations`,
    `multi_output_orientations`. Reference: arXiv:2305.09947 (network).
    """
    shape = ("samples", "positions", "patch entries")
    stack = validate.array("patches", patches, shape, "Unfold the images first.")
    num_samples, positions, entries = stack.shape
    rows = check_rows("patches", stack.reshape(-1, entries))
    targets = check_targets(y, num_samples)
    if readout == "average":
        return predict_orientations(rows, np.repeat(targets, positions), activation, bias=bias)
    validate.choice("readout", readout, ("average", "position"), "Pooling is 'average'.")
    stack = with_bias(rows, bias).reshape(num_samples, positions, -1)
    matrix = np.tensordot(targets, stack, axes=1) / num_samples
    sizes = np.tensordot(np.abs(targets), np.abs(stack), axes=1) / num_samples
    return _singular_orientations(matrix, sizes, _derivative_at_zero(activation))


class LayerOrientation(NamedTuple):
    """The unit direction on which the rows of a deep network's layer condense.

    bias_share: |last coordinate|, 0 without bias; near 1 the layer fits a constant.
    """

    direction: Float[np.ndarray, "D"]
    bias_share: float


def layer_orientation(
    features: Real[Array, "n m"] | Plain, y: Real[Array, "n *column"] | Plain, *, bias: bool = True
) -> LayerOrientation:
    """Line of the rows of layer k of a deep network, p = 1: +- sum_i y_i (h_i^{k-1}, 1).

    Features: outputs h_i^{k-1} of the preceding layer; y minus the network's outputs if not small.
    Center the targets: with bias, a mean target turns rows to the bias from layer 2 on. SpecError:
    sum_i y_i h_i = 0. Valid for: gradient flow, smooth activations, sigma'(0) != 0, tiny
    weights in all layers. Reference: arXiv:2105.11686, the direction in layer k.
    """
    rows = check_rows("features", features)
    form = target_form(rows, check_targets(y, len(rows)), 1, 1.0, bias=bias)
    check_not_zero(form)
    v = form.gradient(np.ones(form.dimension))
    direction = v / np.linalg.norm(v)
    return LayerOrientation(direction, abs(float(direction[-1])) if bias else 0.0)


def _singular_orientations(
    matrix: np.ndarray, sizes: np.ndarray, derivative: float
) -> MatrixOrientations:
    left, values, right = np.linalg.svd(matrix, full_matrices=False)
    if values[0] <= VANISHING * np.linalg.norm(sizes):
        given = "targets without linear correlation with the inputs (V = 0)"
        remedy = "By symmetry nothing moves at leading order."
        raise SpecError(given, "sum_i e_i z_i^T != 0", remedy)
    first, second = float(values[0]), float(values[1]) if len(values) > 1 else 0.0
    directions = np.array([right[0], -right[0]])
    outputs = math.copysign(1.0, derivative) * np.array([left[:, 0], -left[:, 0]])
    rate, kappa = abs(derivative) * first, 1.0 - second / first
    return MatrixOrientations(directions, outputs, rate, kappa, matrix)


def _derivative_at_zero(activation: Any) -> float:
    expansion = multiplicity(activation)
    if expansion.p != 1 or expansion.value_at_0:
        p, value = expansion.p, expansion.value_at_0
        given = f"an activation of multiplicity {p} with sigma(0) = {value:.4g}"
        remedy = "Subtract sigma(0); for higher multiplicities take one output."
        raise SpecError(given, "multiplicity 1 and sigma(0) = 0", remedy)
    return expansion.c


def _onehot(targets: Any, num_samples: int) -> np.ndarray:
    array = check_rows("targets", targets)
    is_whole = bool((array == np.floor(array)).all() and (array >= 0).all())
    if array.shape == (num_samples, 1) and is_whole:
        classes = array[:, 0].astype(np.int64)
        array = np.eye(int(classes.max()) + 1)[classes] if classes.max() < 100_000 else array
    fits = len(array) == num_samples and array.shape[1] > 1
    if not (fits and np.isin(array, (0.0, 1.0)).all() and (array.sum(axis=1) == 1.0).all()):
        given = f"targets of shape {np.shape(targets)} that are no classes"
        allowed = "class numbers [n] from 0, two classes or more, or one-hot rows [n, K]"
        raise SpecError(given, allowed, "Number the classes from 0.")
    return array
