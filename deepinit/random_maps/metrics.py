"""Metrics that layers do not expand: semi-invariant metrics, each with the class of layers for which it is one.

A metric d is semi-invariant for a map U if d(U x, U y) <= d(x, y) for all x, y. Along products of stationary random maps that share such a
metric, d(x_0, x_n) / n converges (Kingman), and so does every finer statement about deep limits. The same metric expands under other layers:
Hilbert's under tanh, Thompson's under a sigmoid with a bias below -2, the Euclidean one under weights of norm above 1. So every
metric here is a record that knows its class, and `check_semi_invariant` refuses the others.

Metrics on points take arrays [..., n] or `Scaled` (vectors of any size); those on functions take the functions' values on a finite set of
points, and are lower bounds of the suprema that define them. All are pure JAX; values outside the domain are refused where they can be
seen and give NaN under jit.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError
from deepinit.random_maps import layer_classes as classes
from deepinit.random_maps.scaled import (
    Scaled,
    added,
    as_scaled,
    largest,
    log_norm,
    log_ratios,
    shifted,
)


class Metric(NamedTuple):
    """A metric and where it is semi-invariant.

    Attributes:
        name: as in errors and tables.
        function: `function(x, y)` -> [...]: non-negative, 0 for equal arguments.
        domain: what x and y are.
        layer_class: the largest class of layers here for which it is semi-invariant, a name of `random_maps.layer_classes`.
        reference: source.
    """

    name: str
    function: Callable[[Any, Any], jax.Array]
    domain: str
    layer_class: str
    reference: str

    def __call__(self, x: Any, y: Any) -> jax.Array:
        """The distance."""
        return self.function(x, y)


def thompson_distance(x: Any, y: Any) -> jax.Array:
    """Thompson's metric max_i |ln x_i - ln y_i|, on positive vectors.

    d_T(x, y) = ln max{M(x/y), M(y/x)}, M(x/y) = max_i x_i / y_i.

    Args:
        x, y: [..., n], positive; arrays or `Scaled`.

    Returns:
        [...], in e-folds; to relative accuracy also for x near y. NaN under jit where an entry is not positive.

    Raises:
        SpecError: where an entry is not positive.

    Valid for: non-expansive under order-preserving subhomogeneous maps of the open positive cone.

    Reference: arXiv:2104.10727, section on Thompson's metric.
    """
    return _checked("Thompson's metric", _largest_log_ratio(as_scaled(x), as_scaled(y)))


def hilbert_distance(x: Any, y: Any) -> jax.Array:
    """Hilbert's metric max_i (ln x_i - ln y_i) - min_i (ln x_i - ln y_i), between the rays of positive vectors.

    d_H(x, y) = ln(M(x/y) M(y/x)), M(x/y) = max_i x_i / y_i; 0 for y = s x.

    Args:
        x, y: [..., n], positive; arrays or `Scaled`.

    Returns:
        [...], in e-folds. NaN under jit where an entry is not positive.

    Raises:
        SpecError: where an entry is not positive.

    Valid for: non-expansive under order-preserving homogeneous maps of the open positive cone.

    Reference: arXiv:2104.10727, section on Thompson's metric.
    """
    return _checked("Hilbert's metric", _spread_of_log_ratios(as_scaled(x), as_scaled(y)))


def norm_distance(x: Any, y: Any, order: float = 2) -> jax.Array:
    """|x - y| in l^order, order 1, 2 or infinity: [...]; 0 or infinite where no float holds it (see `log_norm_distance`)."""
    difference = _difference(x, y)
    return shifted(_norm(difference.mantissa, order), difference.exponent)


def log_norm_distance(x: Any, y: Any) -> jax.Array:
    """ln |x - y| in l^2 of vectors of any size: [...]; -inf where they are equal."""
    return log_norm(_difference(x, y))


def bilipschitz_distance(first: Any, second: Any) -> jax.Array:
    """Thompson's metric between two distance functions on one set of points: max |ln d1(p, q) - ln d2(p, q)|.

    Args:
        first, second: [..., pairs], distances of the same pairs p != q of distinct points; see `distance_function`.

    Returns:
        [...]: a lower bound of the supremum over all pairs. The metric D(d, T^* d) is the logarithm of the bi-Lipschitz constant of T.

    Raises:
        SpecError: where a distance is not positive: there a map identified two points, and its pull-back is no metric.

    Valid for: non-expansive under pull-back by injective maps.

    Reference: arXiv:2104.10727, section on metrics of metrics.
    """
    return _checked(
        "the bi-Lipschitz metric",
        _largest_log_ratio(as_scaled(first), as_scaled(second)),
        remedy=_IDENTIFIED,
    )


def jacobian_distortion(first: Any, second: Any) -> jax.Array:
    """sup |ln(|Jf(x)| |Jg(y)| / (|Jg(x)| |Jf(y)|))| over points: Hilbert's metric between the functions |Jf| and |Jg|.

    Args:
        first, second: [..., points], ln |Jf| and ln |Jg| at the same points; see `iterates.log_jacobian_determinants`.

    Returns:
        [...]: a lower bound of the supremum over all points; a pseudo-metric (0 where |Jf| / |Jg| is constant).

    Raises:
        SpecError: where a logarithm is not finite: there a Jacobian vanishes or is not defined.

    Valid for: non-expansive under right composition with injective C^1 maps.

    Reference: arXiv:2104.10727, section on Jacobian distortion.
    """
    difference = jnp.asarray(first) - jnp.asarray(second)
    if not is_traced(difference) and not bool(jnp.isfinite(difference).all()):
        raise SpecError(
            "logarithms of Jacobian determinants that are not finite",
            "finite ones: Jacobians that vanish nowhere on the points",
            "Use square invertible weights and an activation with a slope other than 0 (no ReLU).",
        )
    return largest(difference) + largest(-difference)


def sup_distance(first: Any, second: Any) -> jax.Array:
    """max |f(x) - g(x)| over points, from values [..., points]: never expands under pull-back, and tells nothing of bounded functions."""
    return largest(jnp.abs(jnp.asarray(first) - jnp.asarray(second)))


def distance_function(points: Any, order: float = 2) -> jax.Array:
    """The distances |p - q| of all pairs of points [m, n]: [m (m - 1) / 2], in the order of `numpy.triu_indices(m, 1)`."""
    points = jnp.asarray(points)
    rows, columns = np.triu_indices(points.shape[0], 1)
    return norm_distance(points[rows], points[columns], order)


_PAPER = "arXiv:2104.10727"
_IDENTIFIED = "Use injective layers (weights of full column rank, tanh or leaky ReLU, no ReLU) and distinct points."

thompson = Metric(
    "Thompson",
    thompson_distance,
    "the open positive cone",
    classes.POSITIVE_SUBHOMOGENEOUS,
    f"{_PAPER}, Thompson's metric",
)
hilbert = Metric(
    "Hilbert",
    hilbert_distance,
    "rays of the open positive cone",
    classes.POSITIVE_HOMOGENEOUS,
    f"{_PAPER}, Thompson's metric",
)
bilipschitz = Metric(
    "bi-Lipschitz",
    bilipschitz_distance,
    "distance functions on one set of points",
    classes.INJECTIVE,
    f"{_PAPER}, metrics of metrics",
)
distortion = Metric(
    "Jacobian distortion",
    jacobian_distortion,
    "logarithms of Jacobian determinants on one set of points",
    classes.SMOOTH_INJECTIVE,
    f"{_PAPER}, Jacobian distortion",
)
supremum = Metric(
    "supremum",
    sup_distance,
    "values of functions on one set of points",
    classes.ANY,
    "derivation: d(f T, g T) <= d(f, g)",
)


def norm(order: float = 2) -> Metric:
    """The metric |x - y| of l^order.

    Raises:
        SpecError: for an order other than 1, 2 and infinity.
    """
    if order not in classes.LIPSCHITZ:
        raise SpecError(
            f"order={order!r}", "1, 2 or numpy.inf", "Write norm(2) for the Euclidean norm."
        )
    name = {1: "l1 norm", 2: "l2 norm", np.inf: "linf norm"}[order]
    return Metric(
        name,
        lambda x, y: norm_distance(x, y, order),
        "R^n",
        classes.LIPSCHITZ[order],
        f"{_PAPER}, norms and 1-Lipschitz layers",
    )


# From the most special class to the widest: the first that fits a layer says most about it.
METRICS = (hilbert, thompson, norm(2), norm(1), norm(np.inf), distortion, bilipschitz, supremum)


def metric_for(layer_class: Any) -> Metric:
    """The metric that says most about a class of layers among those that are semi-invariant for it.

    Args:
        layer_class: a name of `random_maps.layer_classes`, several of them, or a `Layer`, which is classified.

    Raises:
        SpecError: for an unknown class.
    """
    found = _closure(layer_class)
    return next(metric for metric in METRICS if metric.layer_class in found)


def check_semi_invariant(metric: Metric, layer_class: Any) -> None:
    """Refuse a metric on a class of layers for which it is not semi-invariant.

    Args:
        metric: one of this module.
        layer_class: a name of `random_maps.layer_classes`, several of them, or a `Layer`, which is classified.

    Raises:
        SpecError: naming the metrics that are semi-invariant for the class.

    Reference: arXiv:2104.10727; module docstring of `random_maps.layer_classes`.
    """
    found = _closure(layer_class)
    if metric.layer_class not in found:
        fitting = [other for other in METRICS if other.layer_class in found]
        raise SpecError(
            f"the metric {metric.name} with layers that are {', '.join(sorted(found))}",
            f"{metric.name} with {metric.layer_class} layers, for which it is semi-invariant",
            f"For these layers use {' or '.join(other.name for other in fitting)}.",
        )


def _closure(layer_class: Any) -> set[str]:
    """All classes that contain the given one, or one of the given ones."""
    if isinstance(layer_class, classes.Layer):
        layer_class = classes.classify(layer_class)
    names = (
        [layer_class]
        if isinstance(layer_class, str) or not isinstance(layer_class, Iterable)
        else list(layer_class)
    )
    for name in names:
        if name not in classes.WIDER:
            raise SpecError(
                f"the class of layers {name!r}",
                ", ".join(classes.WIDER),
                "Or pass a Layer, which is then classified.",
            )
    return {classes.ANY, *names, *(wider for name in names for wider in classes.WIDER[name])}


@jax.jit
def _largest_log_ratio(x: Scaled, y: Scaled) -> jax.Array:
    return largest(jnp.abs(log_ratios(x, y)))


@jax.jit
def _spread_of_log_ratios(x: Scaled, y: Scaled) -> jax.Array:
    ratios = log_ratios(x, y)
    return largest(ratios) + largest(-ratios)


@jax.jit
def _difference(x: Any, y: Any) -> Scaled:
    x, y = as_scaled(x), as_scaled(y)
    return added(x, Scaled(-y.mantissa, y.exponent))


@partial(jax.jit, static_argnums=1)
def _norm(x: jax.Array, order: float) -> jax.Array:
    if order == 2:
        return jnp.sqrt(jnp.sum(x * x, axis=-1))
    return jnp.sum(jnp.abs(x), axis=-1) if order == 1 else largest(jnp.abs(x))


def _checked(
    name: str,
    distance: jax.Array,
    remedy: str = "Use weights >= 0 without zero rows and positive inputs.",
) -> jax.Array:
    if not is_traced(distance) and bool(jnp.isnan(distance).any()):
        raise SpecError(
            f"values that are not positive, for {name}", "positive finite numbers", remedy
        )
    return distance
