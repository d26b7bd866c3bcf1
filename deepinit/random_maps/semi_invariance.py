"""Audit of semi-invariance: expansion of a metric by a layer on random pairs.

`far` pairs probe the map globally, `near` pairs (1e-3 apart) its local Lipschitz constant, `ray`
pairs (y = s x) subhomogeneity. Points have sizes from 1e-2 to 1e2.
Constants. Thompson: sup_{z > b} (z - b) sigma'(z) / sigma(z); sigmoid: W_0(exp(-(1 + b)))
(`theory.cutoff.thompson`). Hilbert, linear layer: `birkhoff`. Norms: |V| |W| sup |sigma'|.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
import scipy.optimize
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation
from deepinit.core.generator import sequential_bits
from deepinit.core.typing import Array, Bool, Float, KeyLike, Like, Plain, Real
from deepinit.random_maps import layer_classes as classes
from deepinit.random_maps.layer_classes import (
    Layer,
    apply,
    checked,
    derivative_values,
    elasticities,
    operator_norm,
)
from deepinit.random_maps.metrics import Metric, norm_distance
from deepinit.random_maps.scaled import largest

KINDS = ("far", "near", "ray")
NEAR = 1e-3
_POSITIVE = (classes.POSITIVE_HOMOGENEOUS, classes.POSITIVE_SUBHOMOGENEOUS)


class Audit(NamedTuple):
    """Ratios d(T x, T y) / d(x, y) of random pairs, each array [kinds, pairs].

    Attributes:
        kinds: `far`, `near`, `ray`.
        ratios: infinite where the metric's equal points have different images, NaN where an image
            leaves the domain.
        rounding: largest effect of rounding on a ratio.
        bound: of all ratios: 1 for semi-invariance.
    """

    kinds: tuple[str, ...]
    ratios: Float[Like, "kinds pairs"]
    rounding: Float[Like, "kinds pairs"]
    bound: float

    @property
    def violations(self) -> Bool[Like, "kinds pairs"]:
        """Ratios above the bound beyond rounding, and images outside the domain."""
        return ~(self.ratios <= self.bound + self.rounding)

    @property
    def largest(self) -> Float[Like, "kinds"]:
        """Largest ratio; NaN if an image left the domain."""
        return largest(self.ratios, axis=1)


def draw_pairs(
    key: KeyLike, metric: Metric, width: int, num_pairs: int, dtype: DTypeLike = "float32"
) -> tuple[Float[jax.Array, "kinds pairs n"], Float[jax.Array, "kinds pairs n"]]:
    """Random pairs of points of a metric's domain: x and y, each [kinds, pairs, width].

    `metric`: Thompson, Hilbert or a norm; SpecError for metrics on functions. `num_pairs`: of every
    kind.
    """
    _check_on_points(metric)
    with sequential_bits():
        first, second, size, ray = (
            jax.random.normal(part, (num_pairs, columns), dtype)
            for part, columns in zip(jax.random.split(key, 4), (width, width, 1, 1), strict=True)
        )
    scale, factor = jnp.exp(2.0 * size), jnp.exp(ray)
    if metric.layer_class in _POSITIVE:
        x, other, near = scale * jnp.exp(first), scale * jnp.exp(second), jnp.exp(NEAR * second)
        return jnp.stack([x] * 3), jnp.stack([other, x * near, x * factor])
    x, other = scale * first, scale * second
    return jnp.stack([x] * 3), jnp.stack([other, x + NEAR * other, x * factor])


def expansion_ratios(
    layer: Layer,
    metric: Metric,
    x: Real[Array, "*shape n"] | Plain,
    y: Real[Array, "*shape n"] | Plain,
) -> tuple[Float[jax.Array, "*shape"], Float[jax.Array, "*shape"]]:
    """Ratios d(T x, T y) / d(x, y) of points [..., n] and their rounding, [...]; pure JAX."""
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
    size: Any = 1.0
    if metric.layer_class not in _POSITIVE:
        size = norm_distance(x, 0 * x, np.inf) + norm_distance(y, 0 * y, np.inf)
    error = 4.0 * (x.shape[-1] + 8) * float(jnp.finfo(x.dtype).eps) * size
    same = before <= error  # a Hilbert distance on one ray
    apart = jnp.where(after <= error, 0, jnp.where(jnp.isnan(after), jnp.nan, jnp.inf))
    distance = jnp.where(same, 1, before)
    return jnp.where(same, apart, after / distance), jnp.where(same, 0, error / distance)


def audit(
    layer: Layer,
    metric: Metric,
    key: KeyLike,
    *,
    num_pairs: int = 1000,
    bound: float = 1.0,
    dtype: DTypeLike = "float32",
) -> Audit:
    """Ratios d(T x, T y) / d(x, y) of random pairs under one layer.

    `metric`: Thompson, Hilbert or a norm; SpecError for metrics on functions. `num_pairs`: of each
    of the three kinds. `bound`: 1, or a constant from `lipschitz_constant`. `dtype`: of the points;
    float64 needs JAX's x64 mode.
    Reference: arXiv:2104.10727.
    """
    weights, bias, output, activation = checked(layer)
    x, y = draw_pairs(key, metric, weights.shape[1], num_pairs, dtype)
    cast = lambda array: None if array is None else jnp.asarray(array, x.dtype)
    layer = Layer(jnp.asarray(weights, x.dtype), activation, cast(bias), cast(output))
    ratios, rounding = expansion_ratios(layer, metric, x, y)
    return Audit(KINDS, ratios, rounding, bound)


def lipschitz_constant(layer: Layer, metric: Metric) -> float:
    """Upper bound of all ratios d(T x, T y) / d(x, y), on the host.

    Infinite where T does not keep the metric's domain. `metric`: Thompson (exact without
    `layer.output`), Hilbert (exact for linear layers) or a norm.
    Raises SpecError: Hilbert's metric with layers that are not homogeneous, metrics on functions.
    Reference: Birkhoff 1957 for Hilbert's metric; module docstring.
    """
    _check_on_points(metric)
    weights, bias, output, activation = checked(layer)
    if metric.layer_class == classes.POSITIVE_SUBHOMOGENEOUS:
        matrices = [matrix for matrix in (weights, output) if matrix is not None]
        if any((matrix < 0).any() or not matrix.any(axis=1).all() for matrix in matrices):
            return float("inf")
        return max(_largest_elasticity(activation, float(b)) for b in np.unique(bias))
    if metric.layer_class == classes.POSITIVE_HOMOGENEOUS:
        valid = classes.POSITIVE_HOMOGENEOUS in classes.classify(layer)
        given = "Hilbert's metric with a layer that is not homogeneous and order-preserving"
        allowed = "weights >= 0, no bias, a linear or (leaky) ReLU activation"
        validate.require(valid, given, allowed, "Use Thompson's metric.")
        return birkhoff(weights if output is None else output @ weights)
    order = next(order for order, name in classes.LIPSCHITZ.items() if name == metric.layer_class)
    steepest = float(np.abs(derivative_values(activation, np.linspace(-60, 60, 120001))).max())
    outer = 1.0 if output is None else operator_norm(output, order)
    return operator_norm(weights, order) * outer * steepest


def birkhoff(matrix: Real[Array, "m n"] | Plain) -> float:
    """Contraction tanh(Delta / 4) of Hilbert's metric by a positive matrix; 1 if an entry is 0.

    Delta = max ln(M_ik M_jl / (M_il M_jk)).
    """
    matrix = np.asarray(matrix, np.float64)
    if (matrix <= 0).any():
        return 1.0
    logs = np.log(matrix)
    rows = logs[:, None, :] - logs[None, :, :]  # [i, j, k]
    return float(np.tanh(0.25 * (rows.max(axis=2) - rows.min(axis=2)).max()))


def _largest_elasticity(activation: Any, bias: float) -> float:
    """Supremum of elasticities over z > b; infinite unless sigma > 0 increases."""
    middle = np.linspace(1e-2, 30.0, 6000)
    steps = np.concatenate([np.geomspace(1e-6, 1e-2, 100), middle, np.geomspace(30.0, 1e6, 100)])
    with np.errstate(all="ignore"):
        values = elasticities(activation, bias, bias + steps)
        outside = (classes.values(activation, bias + steps) <= 0).any()
    if outside or not np.isfinite(values).all() or (values < 0).any():
        return float("inf")
    best = int(np.argmax(values))
    if best in (0, len(steps) - 1):
        return float(values[best])
    minus = lambda step: -float(elasticities(activation, bias, np.array([bias + step]))[0])
    ends = steps[best - 1], steps[best + 1]
    inside = scipy.optimize.minimize_scalar(
        minus, bounds=ends, method="bounded", options={"xatol": 1e-12}
    )
    return max(float(values[best]), -float(inside.fun))


def _check_on_points(metric: Metric) -> None:
    on_points = metric.layer_class in (*_POSITIVE, *classes.LIPSCHITZ.values())
    given = f"the metric {metric.name}, whose arguments are functions"
    validate.require(on_points, given, "metrics on points: Thompson, Hilbert, the norms")
