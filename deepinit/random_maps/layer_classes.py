"""One layer T(x) = V sigma(W x + b), and the classes of layers for which metrics are semi-invariant.

On the open positive cone, with W >= 0 without zero rows and V = 1, coordinate i of T has elasticity

    sum_j x_j dT_i/dx_j / T_i = (z - b_i) sigma'(z) / sigma(z),   z = (W x + b)_i, any number > b_i.

T is order-preserving where sigma' >= 0 there, keeps the cone where sigma > 0, and is subhomogeneous (s T(x) <= T(s x), 0 < s < 1) exactly where
no elasticity exceeds 1; it is homogeneous where b = 0 and sigma is, on positive numbers. All four are decided numerically on a grid of z.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import on_host, values

POSITIVE_HOMOGENEOUS = "positive homogeneous"
POSITIVE_SUBHOMOGENEOUS = "positive subhomogeneous"
LIPSCHITZ = {1: "1-Lipschitz in l1", 2: "1-Lipschitz in l2", np.inf: "1-Lipschitz in linf"}
INJECTIVE = "injective"
SMOOTH_INJECTIVE = "smooth injective"
ANY = "any"

# Every layer of a class belongs to these larger classes too.
WIDER = {
    POSITIVE_HOMOGENEOUS: (POSITIVE_SUBHOMOGENEOUS, ANY),
    POSITIVE_SUBHOMOGENEOUS: (ANY,),
    **{name: (ANY,) for name in LIPSCHITZ.values()},
    INJECTIVE: (ANY,),
    SMOOTH_INJECTIVE: (INJECTIVE, ANY),
    ANY: (),
}
_ROUNDING = 1e-6  # a weight matrix drawn or scaled in float32 to norm 1 misses it by this much


class Layer(NamedTuple):
    """T(x) = output sigma(weights x + bias).

    Attributes:
        weights: [m, n].
        activation: an `Activation`, a built-in's name or any JAX function.
        bias: [m]; None for none.
        output: [k, m]; None for the identity. `weights.T` gives the layers W^T sigma(W x + b).
    """

    weights: Any
    activation: Any
    bias: Any = None
    output: Any = None


def apply(layer: Layer, x: Any) -> Any:
    """T(x) for points [..., n], in JAX or NumPy, whichever they live in."""
    from deepinit.core.array_api import array_namespace

    xp = array_namespace(x, layer.weights)
    precision = {} if xp is np else {"precision": "highest"}
    z = xp.matmul(x, xp.asarray(layer.weights).T, **precision)
    z = z if layer.bias is None else z + layer.bias
    image = as_activation(layer.activation)(z)
    return (
        image if layer.output is None else xp.matmul(image, xp.asarray(layer.output).T, **precision)
    )


def classify(layer: Layer) -> frozenset[str]:
    """The classes to which a layer belongs, on the host.

    The positive classes are of maps of the open positive cone; `1-Lipschitz in lp` needs |W|_p <= 1, |V|_p <= 1 and |sigma'| <= 1;
    `injective` needs weights of full column rank and a slope bounded away from 0 on preactivations of the cube [-1, 1]^n (where it is
    bi-Lipschitz), `smooth injective` no kink among those besides.

    Returns:
        Names of classes; always `any` among them.

    Raises:
        SpecError: for weights that are not a finite matrix, and shapes that do not fit.

    Reference: arXiv:2104.10727, sections on layers and metrics; the elasticity criterion: module docstring.
    """
    weights, bias, output, activation = checked(layer)
    found = {ANY}
    if _is_subhomogeneous(weights, bias, output, activation):
        found.add(POSITIVE_SUBHOMOGENEOUS)
        if not bias.any() and _is_linear_on_positive(activation):
            found.add(POSITIVE_HOMOGENEOUS)
    steepest = np.abs(derivative_values(activation, _line(60.0))).max()
    for order, name in LIPSCHITZ.items():
        norms = [operator_norm(matrix, order) for matrix in (weights, output) if matrix is not None]
        if max(norms) <= 1 + _ROUNDING and steepest <= 1 + 1e-9:
            found.add(name)
    found |= _injective_classes(weights, bias, output, activation)
    return frozenset(found)


def checked(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Activation]:
    """A layer's arrays in float64, shapes and values checked."""
    weights = np.asarray(layer.weights, np.float64)
    if weights.ndim != 2 or 0 in weights.shape or not np.isfinite(weights).all():
        raise SpecError(
            f"weights of shape {weights.shape}{'' if np.isfinite(weights).all() else ' that are not finite'}",
            "a finite matrix [fan_out, fan_in]",
            "Pass one layer's matrix; for several layers call this once per layer.",
        )
    bias = np.zeros(len(weights)) if layer.bias is None else np.asarray(layer.bias, np.float64)
    output = None if layer.output is None else np.asarray(layer.output, np.float64)
    if bias.shape != (len(weights),) or (
        output is not None and (output.ndim != 2 or output.shape[1] != len(weights))
    ):
        raise SpecError(
            f"weights {weights.shape} with bias {bias.shape}{'' if output is None else f' and output {output.shape}'}",
            "weights [m, n], bias [m], output [k, m]",
            "Give one bias per row of the weights, and an output matrix with one column per row of them.",
        )
    return weights, bias, output, as_activation(layer.activation)


def operator_norm(matrix: np.ndarray, order: float) -> float:
    """The norm of a matrix as a map of l^order to itself, order 1, 2 or infinity. On the host."""
    return float(np.linalg.norm(np.asarray(matrix, np.float64), order))


def has_full_column_rank(weights: Any) -> bool:
    """Is x -> W x injective, beyond rounding in float32? On the host."""
    weights = np.asarray(weights, np.float64)
    singular = scipy.linalg.svdvals(weights)
    return weights.shape[0] >= weights.shape[1] and singular[-1] > 1e-7 * singular[0]


def derivative_values(activation: Activation, z: np.ndarray) -> np.ndarray:
    """sigma'(z) in float64 on the host."""
    from deepinit.core.activations import BUILTIN

    return (
        np.asarray(activation.derivative(z))
        if activation.name in BUILTIN
        else on_host(activation.derivative, z)
    )


def elasticities(activation: Any, bias: float, z: np.ndarray) -> np.ndarray:
    """(z - bias) sigma'(z) / sigma(z) at preactivations z > bias: one coordinate's local Lipschitz constant in Thompson's metric."""
    activation = as_activation(activation)
    return (z - bias) * derivative_values(activation, z) / values(activation, z)


def _line(radius: float) -> np.ndarray:
    """Points of [-radius, radius], dense near 0, without 0 itself."""
    half = np.concatenate([np.geomspace(1e-9, 1e-2, 200), np.linspace(1e-2, radius, 6000)[1:]])
    return np.concatenate([-half[::-1], half])


def _above(bias: float) -> np.ndarray:
    """Preactivations z > bias, from near to far."""
    return bias + np.concatenate(
        [
            np.geomspace(1e-6, 1e-2, 100),
            np.linspace(1e-2, 30.0, 6000)[1:],
            np.geomspace(30.0, 1e6, 100),
        ]
    )


def _is_subhomogeneous(
    weights: np.ndarray, bias: np.ndarray, output: Any, activation: Activation
) -> bool:
    for matrix in (weights,) if output is None else (weights, output):
        if (matrix < 0).any() or not matrix.any(axis=1).all():
            return False
    for b in np.unique(bias):
        z = _above(b)
        with np.errstate(all="ignore"):
            images, slopes = values(activation, z), derivative_values(activation, z)
            elasticity = (z - b) * slopes / images
        # the difference z - b carries the rounding of z, which matters only next to z = b
        if not ((images > 0).all() and (slopes >= 0).all() and (elasticity <= 1 + 1e-9).all()):
            return False
    return True


def _is_linear_on_positive(activation: Activation) -> bool:
    return activation.slopes is not None and activation.slopes[1] > 0


def _injective_classes(
    weights: np.ndarray, bias: np.ndarray, output: Any, activation: Activation
) -> set[str]:
    if not has_full_column_rank(weights) or not (output is None or has_full_column_rank(output)):
        return set()
    reach = float((np.abs(weights).sum(axis=1) + np.abs(bias)).max())
    slopes = derivative_values(activation, _line(reach))
    if not (slopes > 0).all() and not (slopes < 0).all():
        return set()
    # leaky ReLU has a kink without its function ceasing to be injective
    if any(abs(kink) < reach for kink in activation.kinks) and activation.slopes != (1.0, 1.0):
        return {INJECTIVE}
    return {INJECTIVE, SMOOTH_INJECTIVE}
