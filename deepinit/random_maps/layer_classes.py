"""One layer T(x) = V sigma(W x + b), and classes of layers with a semi-invariant metric.

On the open positive cone, W >= 0 without zero rows and V = 1, coordinate i of T has elasticity
    sum_j x_j dT_i/dx_j / T_i = (z - b_i) sigma'(z) / sigma(z),   z = (W x + b)_i > b_i.
T is order-preserving where sigma' >= 0, keeps the cone where sigma > 0, is subhomogeneous (s
T(x) <= T(s x), 0 < s < 1) exactly where no elasticity exceeds 1, and homogeneous where b = 0 and
sigma is, on positive numbers; decided on a grid of z.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from deepinit.core import validate
from deepinit.core.activations import BUILTIN, Activation, as_activation
from deepinit.core.array_api import array_namespace
from deepinit.core.gaussian import on_host, values
from deepinit.core.typing import ActivationLike, Array, Float, Like, Plain, Real

POSITIVE_HOMOGENEOUS = "positive homogeneous"
POSITIVE_SUBHOMOGENEOUS = "positive subhomogeneous"
LIPSCHITZ = {1: "1-Lipschitz in l1", 2: "1-Lipschitz in l2", np.inf: "1-Lipschitz in linf"}
INJECTIVE = "injective"
SMOOTH_INJECTIVE = "smooth injective"
ANY = "any"

# Larger classes of each class.
WIDER = {
    POSITIVE_HOMOGENEOUS: (POSITIVE_SUBHOMOGENEOUS, ANY),
    POSITIVE_SUBHOMOGENEOUS: (ANY,),
    **{name: (ANY,) for name in LIPSCHITZ.values()},
    INJECTIVE: (ANY,),
    SMOOTH_INJECTIVE: (INJECTIVE, ANY),
    ANY: (),
}
_ROUNDING = 1e-6  # of the norm of a float32 matrix scaled to norm 1


class Layer(NamedTuple):
    """T(x) = output sigma(weights x + bias); output None for the identity."""

    weights: Real[Array, "m n"] | Plain
    activation: ActivationLike
    bias: Real[Array, "m"] | Plain | None = None
    output: Real[Array, "k m"] | Plain | None = None


def apply(layer: Layer, x: Real[Array, "*shape n"]) -> Float[Like, "*shape m"]:
    """T(x) for points [..., n], JAX or NumPy."""
    xp = array_namespace(x, layer.weights)
    precision = {} if xp is np else {"precision": "highest"}
    z = xp.matmul(x, xp.asarray(layer.weights).T, **precision)
    z = z if layer.bias is None else z + layer.bias
    image = as_activation(layer.activation)(z)
    if layer.output is None:
        return image
    return xp.matmul(image, xp.asarray(layer.output).T, **precision)


def classify(layer: Layer) -> frozenset[str]:
    """Names of a layer's classes, `any` among them, on the host.

    Positive classes: maps of the open positive cone. `1-Lipschitz in lp`: |W|_p <= 1, |V|_p <= 1
    and |sigma'| <= 1. `injective`: weights of full column rank, and a derivative bounded away from
    0 on preactivations of the cube [-1, 1]^n; `smooth injective`: also no kink.

    Raises SpecError: weights that are no finite matrix.
    Reference: arXiv:2104.10727.
    """
    weights, bias, output, activation = checked(layer)
    classes = {ANY}
    if _is_subhomogeneous(weights, bias, output, activation):
        classes.add(POSITIVE_SUBHOMOGENEOUS)
        if not bias.any() and activation.slopes is not None and activation.slopes[1] > 0:
            classes.add(POSITIVE_HOMOGENEOUS)
    steepest = np.abs(derivative_values(activation, _line(60.0))).max()
    for order, name in LIPSCHITZ.items():
        norms = [operator_norm(matrix, order) for matrix in (weights, output) if matrix is not None]
        if max(norms) <= 1 + _ROUNDING and steepest <= 1 + 1e-9:
            classes.add(name)
    return frozenset(classes | _injective_classes(weights, bias, output, activation))


def checked(layer: Layer) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, Activation]:
    """A layer's arrays in float64, and its activation."""
    weights = validate.array("weights", layer.weights, ("fan_out", "fan_in"), "Pass one layer.")
    m = len(weights)
    bias = np.zeros(m) if layer.bias is None else np.asarray(layer.bias, np.float64)
    output = None if layer.output is None else np.asarray(layer.output, np.float64)
    fits = bias.shape == (m,) and (output is None or (output.ndim == 2 and output.shape[1] == m))
    output_shape = None if output is None else output.shape
    given = f"weights {weights.shape}, bias {bias.shape}, output {output_shape}"
    validate.require(fits, given, "weights [m, n], bias [m], output [k, m]")
    return weights, bias, output, as_activation(layer.activation)


def operator_norm(matrix: Float[np.ndarray, "m n"], order: float) -> float:
    """Operator norm in l^order, order 1, 2 or infinity, on the host."""
    return float(np.linalg.norm(np.asarray(matrix, np.float64), order))


def has_full_column_rank(weights: Real[Array, "m n"] | Plain) -> bool:
    """Whether x -> W x is injective beyond float32 rounding, on the host."""
    weights = np.asarray(weights, np.float64)
    singular = scipy.linalg.svdvals(weights)
    return weights.shape[0] >= weights.shape[1] and singular[-1] > 1e-7 * singular[0]


def derivative_values(
    activation: Activation, z: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """sigma'(z) in float64 on the host."""
    is_builtin = activation.name in BUILTIN
    return np.asarray(activation.derivative(z)) if is_builtin else on_host(activation.derivative, z)


def elasticities(
    activation: ActivationLike, bias: float, z: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "*shape"]:
    """Elasticities (z - bias) sigma'(z) / sigma(z), z > bias."""
    activation = as_activation(activation)
    return (z - bias) * derivative_values(activation, z) / values(activation, z)


def _line(radius: float) -> np.ndarray:
    """Points of [-radius, radius], dense near 0, without 0."""
    half = np.concatenate([np.geomspace(1e-9, 1e-2, 200), np.linspace(1e-2, radius, 6000)[1:]])
    return np.concatenate([-half[::-1], half])


def _above(bias: float) -> np.ndarray:
    """Preactivations z > bias, from near to far."""
    near, middle = np.geomspace(1e-6, 1e-2, 100), np.linspace(1e-2, 30.0, 6000)[1:]
    return bias + np.concatenate([near, middle, np.geomspace(30.0, 1e6, 100)])


def _is_subhomogeneous(
    weights: np.ndarray, bias: np.ndarray, output: Any, activation: Activation
) -> bool:
    for matrix in (weights,) if output is None else (weights, output):
        if (matrix < 0).any() or not matrix.any(axis=1).all():
            return False
    for b in np.unique(bias):
        z = _above(b)
        with np.errstate(all="ignore"):
            images, derivative = values(activation, z), derivative_values(activation, z)
            elasticity = (z - b) * derivative / images
        monotone = (images > 0).all() and (derivative >= 0).all()
        if not (monotone and (elasticity <= 1 + 1e-9).all()):
            return False
    return True


def _injective_classes(
    weights: np.ndarray, bias: np.ndarray, output: Any, activation: Activation
) -> set[str]:
    if not has_full_column_rank(weights) or not (output is None or has_full_column_rank(output)):
        return set()
    reach = float((np.abs(weights).sum(axis=1) + np.abs(bias)).max())
    derivative = derivative_values(activation, _line(reach))
    if not (derivative > 0).all() and not (derivative < 0).all():
        return set()
    if any(abs(kink) < reach for kink in activation.kinks) and activation.slopes != (1.0, 1.0):
        return {INJECTIVE}
    return {INJECTIVE, SMOOTH_INJECTIVE}
