"""Does a layer expand a metric? Random pairs of points against the constant that theory gives.

Three kinds of pairs find three kinds of failure: `far` ones probe the map at large, `near` ones (1e-3 apart) its local Lipschitz constant, `ray`
ones (y = s x) the lack of subhomogeneity. Points come at sizes from 1e-2 to 1e2, so that an activation is met near 0 and saturated.

Constants. Thompson: the supremum of the elasticity (z - b) sigma'(z) / sigma(z) over z > b; for the sigmoid it is W_0(exp(-(1 + b))), Lambert's
function, whatever the positive weights: with y = z - b, y (1 - sigmoid(y + b)) is stationary at y sigmoid(y + b) = 1, where it is y - 1 = W_0.
Hilbert, linear: tanh(Delta / 4), Delta = max ln(M_ik M_jl / (M_il M_jk)) (Birkhoff). Norms: |V| |W| sup |sigma'|.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize

from deepinit.core.activations import Activation, as_activation
from deepinit.core.errors import SpecError
from deepinit.core.generator import sequential_bits
from deepinit.random_maps import layer_classes as classes
from deepinit.random_maps.layer_classes import (
    Layer,
    apply,
    checked,
    derivative_values,
    elasticities,
    operator_norm,
)
from deepinit.random_maps.metrics import Metric, distance_function, norm_distance
from deepinit.random_maps.scaled import largest

KINDS = ("far", "near", "ray")
NEAR = 1e-3
_POSITIVE = (classes.POSITIVE_HOMOGENEOUS, classes.POSITIVE_SUBHOMOGENEOUS)


class Audit(NamedTuple):
    """Ratios d(T x, T y) / d(x, y) of random pairs.

    Attributes:
        kinds: of pairs, `far`, `near`, `ray`.
        ratios: [kinds, pairs]; infinite where equal points (of the metric) have different images, NaN where an image leaves the domain.
        rounding: [kinds, pairs], by how much rounding may raise a ratio.
        bound: what no ratio should exceed: 1 for semi-invariance.
    """

    kinds: tuple[str, ...]
    ratios: jax.Array
    rounding: jax.Array
    bound: float

    @property
    def violations(self) -> jax.Array:
        """[kinds, pairs]: ratios above the bound by more than rounding, and images outside the domain."""
        return ~(self.ratios <= self.bound + self.rounding)

    @property
    def largest(self) -> jax.Array:
        """[kinds]: the largest ratio; NaN if an image left the domain."""
        return largest(self.ratios, axis=1)


def draw_pairs(
    key: Any, metric: Metric, width: int, num_pairs: int, dtype: Any = "float32"
) -> tuple[jax.Array, jax.Array]:
    """Random pairs of points of a metric's domain: x and y, each [kinds, pairs, width].

    Args:
        key: a JAX key.
        metric: Thompson, Hilbert or a norm.
        width: n.
        num_pairs: of every kind.
        dtype: of the points.

    Raises:
        SpecError: for a metric on functions.
    """
    _check_on_points(metric)
    with sequential_bits():
        first, second, size, ray = (
            jax.random.normal(part, (num_pairs, width if i < 2 else 1), dtype)
            for i, part in enumerate(jax.random.split(key, 4))
        )
    scale, stretch = jnp.exp(2.0 * size), jnp.exp(ray)
    if metric.layer_class in _POSITIVE:
        x, other, near = scale * jnp.exp(first), scale * jnp.exp(second), jnp.exp(NEAR * second)
        return jnp.stack([x] * 3), jnp.stack([other, x * near, x * stretch])
    x, other = scale * first, scale * second
    return jnp.stack([x] * 3), jnp.stack([other, x + NEAR * other, x * stretch])


def expansion_ratios(layer: Layer, metric: Metric, x: Any, y: Any) -> tuple[jax.Array, jax.Array]:
    """d(T x, T y) / d(x, y), and how much of it may be rounding.

    Args:
        layer: T.
        metric: Thompson, Hilbert or a norm.
        x, y: [..., n].

    Returns:
        Ratios and rounding, [...]; see `Audit`. Pure JAX.
    """
    arrays = (layer.weights, layer.bias, layer.output, jnp.asarray(x), jnp.asarray(y))
    # traced: values outside the domain become NaN, which is what an audit counts
    return _traced_ratios(as_activation(layer.activation), metric, *arrays)


@partial(jax.jit, static_argnums=(0, 1))
def _traced_ratios(
    activation: Activation,
    metric: Metric,
    weights: Any,
    bias: Any,
    output: Any,
    x: jax.Array,
    y: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    layer = Layer(weights, activation, bias, output)
    before, after = metric(x, y), metric(apply(layer, x), apply(layer, y))
    size = (
        1.0
        if metric.layer_class in _POSITIVE
        else norm_distance(x, 0 * x, np.inf) + norm_distance(y, 0 * y, np.inf)
    )
    error = 4.0 * (x.shape[-1] + 8) * float(jnp.finfo(x.dtype).eps) * size
    same = before <= error  # a Hilbert distance on one ray
    apart = jnp.where(after <= error, 0, jnp.where(jnp.isnan(after), jnp.nan, jnp.inf))
    distance = jnp.where(same, 1, before)
    return jnp.where(same, apart, after / distance), jnp.where(same, 0, error / distance)


def audit(
    layer: Layer,
    metric: Metric,
    key: Any,
    *,
    num_pairs: int = 1000,
    bound: float = 1.0,
    dtype: Any = "float32",
) -> Audit:
    """The ratios d(T x, T y) / d(x, y) of random pairs under one layer.

    Args:
        layer: T; need not be of the metric's class, an audit shows what happens where it is not.
        metric: Thompson, Hilbert or a norm.
        key: a JAX key.
        num_pairs: of each of the three kinds.
        bound: what no ratio should exceed: 1, or a constant from `lipschitz_constant`.
        dtype: of the points; float64 needs JAX's x64 mode.

    Raises:
        SpecError: for a metric on functions and for shapes that do not fit.

    Reference: arXiv:2104.10727, section on metrics; constants: module docstring.
    """
    weights, bias, output, activation = checked(layer)
    x, y = draw_pairs(key, metric, weights.shape[1], num_pairs, dtype)
    cast = lambda array: None if array is None else jnp.asarray(array, x.dtype)
    ratios, rounding = expansion_ratios(
        Layer(cast(weights), activation, cast(bias), cast(output)), metric, x, y
    )
    return Audit(KINDS, ratios, rounding, bound)


def audit_pull_back(layer: Layer, points: Any, first: Any, second: Any) -> tuple[jax.Array, float]:
    """The bi-Lipschitz metric between two distance functions, after and before pull-back by a layer.

    The distance functions are |A (p - q)|, A = first or second; theirs is the exact supremum, max |ln s| over the singular values s of
    first second^-1. After pull-back it is taken over the pairs of the given points, a lower bound.

    Args:
        layer: T.
        points: [m, n].
        first, second: [k, k], invertible, k the dimension of T's values.

    Returns:
        After pull-back (NaN where T identifies two points), and before.

    Raises:
        SpecError: for singular `first` or `second`.

    Reference: arXiv:2104.10727, metrics of metrics.
    """
    for name, matrix in (("first", first), ("second", second)):
        if not classes.has_full_column_rank(matrix):
            raise SpecError(
                f"a singular matrix `{name}`",
                "invertible matrices",
                "A singular one gives no distance function.",
            )
    host = [np.asarray(matrix, np.float64) for matrix in (first, second)]
    before = float(
        np.abs(np.log(scipy.linalg.svdvals(scipy.linalg.solve(host[1].T, host[0].T).T))).max()
    )
    images = apply(layer, jnp.asarray(points))
    distances = [
        distance_function(
            jnp.matmul(images, jnp.asarray(matrix, images.dtype).T, precision="highest")
        )
        for matrix in host
    ]
    identified = (distances[0] == 0) | (distances[1] == 0)
    logs = jnp.log(jnp.where(identified, 1, distances[0])) - jnp.log(
        jnp.where(identified, 1, distances[1])
    )
    return jnp.where(jnp.any(identified), jnp.nan, largest(jnp.abs(logs))), before


def lipschitz_constant(layer: Layer, metric: Metric) -> float:
    """A constant that no ratio d(T x, T y) / d(x, y) exceeds, on the host.

    Args:
        layer: T, of the metric's class or, for Thompson's and the norms, not.
        metric: Thompson (exact: the supremum of elasticities, if `layer.output` is None, and a bound else), Hilbert (exact for linear
            layers) or a norm (a bound).

    Returns:
        The constant; infinite where T does not keep the metric's domain.

    Raises:
        SpecError: for Hilbert's metric with layers that are not homogeneous, and for metrics on functions.

    Reference: derivation: module docstring; Birkhoff 1957 for Hilbert's metric.
    """
    _check_on_points(metric)
    weights, bias, output, activation = checked(layer)
    if metric.layer_class == classes.POSITIVE_SUBHOMOGENEOUS:
        if any(
            (matrix < 0).any() or not matrix.any(axis=1).all()
            for matrix in (weights, output)
            if matrix is not None
        ):
            return float("inf")
        return max(_largest_elasticity(activation, float(b)) for b in np.unique(bias))
    if metric.layer_class == classes.POSITIVE_HOMOGENEOUS:
        if classes.POSITIVE_HOMOGENEOUS not in classes.classify(layer):
            raise SpecError(
                "Hilbert's metric with a layer that is not homogeneous and order-preserving",
                "weights >= 0, no bias, a linear or (leaky) ReLU activation",
                "Use Thompson's metric.",
            )
        return birkhoff(weights if output is None else output @ weights)
    order = next(order for order, name in classes.LIPSCHITZ.items() if name == metric.layer_class)
    steepest = float(np.abs(derivative_values(activation, np.linspace(-60, 60, 120001))).max())
    return (
        operator_norm(weights, order)
        * (1.0 if output is None else operator_norm(output, order))
        * steepest
    )


def birkhoff(matrix: Any) -> float:
    """tanh(Delta / 4), the contraction of Hilbert's metric by a positive matrix, Delta = max ln(M_ik M_jl / (M_il M_jk)); 1 if an entry is 0."""
    matrix = np.asarray(matrix, np.float64)
    if (matrix <= 0).any():
        return 1.0
    logs = np.log(matrix)
    rows = logs[:, None, :] - logs[None, :, :]  # [i, j, k]
    return float(np.tanh(0.25 * (rows.max(axis=2) - rows.min(axis=2)).max()))


def _largest_elasticity(activation: Any, bias: float) -> float:
    """sup of (z - b) sigma'(z) / sigma(z) over z > b; infinite where sigma is not positive or decreases."""
    steps = np.concatenate(
        [np.geomspace(1e-6, 1e-2, 100), np.linspace(1e-2, 30.0, 6000), np.geomspace(30.0, 1e6, 100)]
    )
    with np.errstate(all="ignore"):
        found = elasticities(activation, bias, bias + steps)
        outside = (classes.values(activation, bias + steps) <= 0).any()
    if outside or not np.isfinite(found).all() or (found < 0).any():
        return float("inf")
    best = int(np.argmax(found))
    if best in (0, len(steps) - 1):
        return float(found[best])
    inside = scipy.optimize.minimize_scalar(
        lambda step: -float(elasticities(activation, bias, np.array([bias + step]))[0]),
        bounds=(steps[best - 1], steps[best + 1]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return max(float(found[best]), -float(inside.fun))


def _check_on_points(metric: Metric) -> None:
    if metric.layer_class not in (*_POSITIVE, *classes.LIPSCHITZ.values()):
        raise SpecError(
            f"the metric {metric.name}, whose arguments are functions",
            "Thompson, Hilbert and the norms, whose arguments are points",
            "For the bi-Lipschitz metric use audit_pull_back.",
        )
