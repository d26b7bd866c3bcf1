"""Semi-invariant metrics: d(U x, U y) <= d(x, y) for all layers U of a class (arXiv:2104.10727).

Then d(x_0, x_n) / n converges along products of stationary random maps (Kingman). Other layers can
expand the metric: Hilbert's under tanh, Thompson's under a sigmoid with a bias below -2, the
Euclidean one under weights of norm above 1.
Points are arrays [..., n] or `Scaled`; metrics on functions take values on finitely many points,
and are lower bounds of suprema. Pure JAX; outside the domain SpecError, NaN under jit.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import is_traced
from deepinit.core.errors import SpecError
from deepinit.core.typing import Array, Float, Numbers, Plain, Real
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
    """A metric and its class of layers.

    Attributes:
        name: for errors and tables.
        function: `function(x, y)` -> [...], non-negative.
        domain: of x and y.
        layer_class: the largest class for which it is semi-invariant (`random_maps.layer_classes`).
    """

    name: str
    function: Callable[[Any, Any], jax.Array]
    domain: str
    layer_class: str
    reference: str

    def __call__(self, x: Scaled | Numbers, y: Scaled | Numbers) -> jax.Array:
        """The distance."""
        return self.function(x, y)


def thompson_distance(
    x: Scaled | Real[Array, "*shape n"] | Plain, y: Scaled | Real[Array, "*shape n"] | Plain
) -> Float[jax.Array, "..."]:
    """Thompson's metric max_i |ln x_i - ln y_i| of positive vectors, accurate also for x near y.

    Raises SpecError: an entry is not positive.
    Valid for: non-expansive under order-preserving subhomogeneous maps of the open positive cone.
    """
    return _checked("Thompson's metric", _largest_log_ratio(as_scaled(x), as_scaled(y)))


def hilbert_distance(
    x: Scaled | Real[Array, "*shape n"] | Plain, y: Scaled | Real[Array, "*shape n"] | Plain
) -> Float[jax.Array, "..."]:
    """Hilbert's metric max_i (ln x_i - ln y_i) - min_i (ln x_i - ln y_i); 0 for y = s x.

    Raises SpecError: an entry is not positive.
    Valid for: non-expansive under order-preserving homogeneous maps of the open positive cone.
    """
    return _checked("Hilbert's metric", _spread_of_log_ratios(as_scaled(x), as_scaled(y)))


def norm_distance(
    x: Scaled | Real[Array, "*shape n"] | Plain,
    y: Scaled | Real[Array, "*shape n"] | Plain,
    order: float = 2,
) -> Float[jax.Array, "..."]:
    """|x - y| in l^order, order 1, 2 or infinity: [...]; 0 or infinite outside the floats."""
    difference = _difference(x, y)
    return shifted(_norm(difference.mantissa, order), difference.exponent)


def log_norm_distance(
    x: Scaled | Real[Array, "*shape n"] | Plain, y: Scaled | Real[Array, "*shape n"] | Plain
) -> Float[jax.Array, "..."]:
    """ln |x - y| in l^2 of vectors of any size: [...]; -inf where they are equal."""
    return log_norm(_difference(x, y))


def bilipschitz_distance(
    first: Real[Array, "*shape pairs"] | Plain, second: Real[Array, "*shape pairs"] | Plain
) -> Float[jax.Array, "..."]:
    """Thompson's metric between distance functions: max |ln d1(p, q) - ln d2(p, q)|.

    A lower bound of the supremum over all pairs. D(d, T^* d) is the logarithm of the bi-Lipschitz
    constant of T. `first`, `second`: [..., pairs], of the same pairs (`distance_function`).
    Raises SpecError: a distance that is not positive: a map identified two points.
    Valid for: non-expansive under pull-back by injective maps.
    """
    distance = _largest_log_ratio(as_scaled(first), as_scaled(second))
    return _checked("the bi-Lipschitz metric", distance, remedy=_IDENTIFIED)


def jacobian_distortion(
    first: Real[Array, "*shape points"] | Plain, second: Real[Array, "*shape points"] | Plain
) -> Float[jax.Array, "..."]:
    """Hilbert's metric sup |ln(|Jf(x)| |Jg(y)| / (|Jg(x)| |Jf(y)|))| between |Jf| and |Jg|.

    A lower bound of the supremum; 0 where |Jf| / |Jg| is constant. `first`, `second`:
    [..., points], ln |Jf| and ln |Jg| (`iterates.log_jacobian_determinants`).
    Raises SpecError: a logarithm that is not finite.
    Valid for: non-expansive under right composition with injective C^1 maps.
    """
    difference = jnp.asarray(first) - jnp.asarray(second)
    if not is_traced(difference) and not bool(jnp.isfinite(difference).all()):
        remedy = "Use invertible weights and no ReLU."
        raise SpecError("log Jacobian determinants that are not finite", "finite numbers", remedy)
    return largest(difference) + largest(-difference)


def sup_distance(
    first: Real[Array, "*shape points"] | Plain, second: Real[Array, "*shape points"] | Plain
) -> Float[jax.Array, "..."]:
    """max |f(x) - g(x)|, from values [..., points]: never expands under pull-back."""
    return largest(jnp.abs(jnp.asarray(first) - jnp.asarray(second)))


def distance_function(
    points: Real[Array, "m n"] | Plain, order: float = 2
) -> Float[jax.Array, "pairs"]:
    """Distances |p - q| of pairs of points [m, n]: [m (m - 1) / 2], `numpy.triu_indices(m, 1)`."""
    points = jnp.asarray(points)
    rows, columns = np.triu_indices(points.shape[0], 1)
    return norm_distance(points[rows], points[columns], order)


_IDENTIFIED = "Use injective layers (full column rank, no ReLU) and distinct points."
_CONE, _PAPER = "the open positive cone", "arXiv:2104.10727, "
_THOMPSON, _POINTS = _PAPER + "Thompson's metric", " on one set of points"

thompson = Metric("Thompson", thompson_distance, _CONE, classes.POSITIVE_SUBHOMOGENEOUS, _THOMPSON)
hilbert = Metric(
    "Hilbert", hilbert_distance, "rays of " + _CONE, classes.POSITIVE_HOMOGENEOUS, _THOMPSON
)
bilipschitz = Metric(
    "bi-Lipschitz",
    bilipschitz_distance,
    "distance functions" + _POINTS,
    classes.INJECTIVE,
    _PAPER + "metrics of metrics",
)
distortion = Metric(
    "Jacobian distortion",
    jacobian_distortion,
    "logarithms of Jacobian determinants" + _POINTS,
    classes.SMOOTH_INJECTIVE,
    _PAPER + "Jacobian distortion",
)
supremum = Metric(
    "supremum",
    sup_distance,
    "values of functions" + _POINTS,
    classes.ANY,
    "derivation: d(f T, g T) <= d(f, g)",
)


def norm(order: float = 2) -> Metric:
    """Metric |x - y| of l^order; SpecError for an order other than 1, 2 and infinity."""
    validate.require(order in classes.LIPSCHITZ, f"order={order!r}", "1, 2 or numpy.inf")
    name = {1: "l1 norm", 2: "l2 norm", np.inf: "linf norm"}[order]
    distance = lambda x, y: norm_distance(x, y, order)
    reference = _PAPER + "norms and 1-Lipschitz layers"
    return Metric(name, distance, "R^n", classes.LIPSCHITZ[order], reference)


# From the most special class to the widest.
METRICS = (hilbert, thompson, norm(2), norm(1), norm(np.inf), distortion, bilipschitz, supremum)


def metric_for(layer_class: str | Iterable[str] | classes.Layer) -> Metric:
    """Metric of the most special class that contains the layers.

    `layer_class`: one or several names of `random_maps.layer_classes`, or a `Layer`.
    Raises SpecError: an unknown class.
    """
    names = _closure(layer_class)
    return next(metric for metric in METRICS if metric.layer_class in names)


def check_semi_invariant(metric: Metric, layer_class: str | Iterable[str] | classes.Layer) -> None:
    """Raise SpecError, naming alternatives, unless a metric is semi-invariant for a class."""
    names = _closure(layer_class)
    fitting = " or ".join(other.name for other in METRICS if other.layer_class in names)
    given = f"the metric {metric.name} with layers that are {', '.join(sorted(names))}"
    allowed = f"{metric.name} with {metric.layer_class} layers, for which it is semi-invariant"
    is_fitting, remedy = metric.layer_class in names, f"For these layers use {fitting}."
    validate.require(is_fitting, given, allowed, remedy)


def _closure(layer_class: Any) -> set[str]:
    """The given classes and all that contain one of them."""
    if isinstance(layer_class, classes.Layer):
        layer_class = classes.classify(layer_class)
    is_list = isinstance(layer_class, Iterable) and not isinstance(layer_class, str)
    names = list(layer_class) if is_list else [layer_class]
    for name in names:
        validate.choice("layer_class", name, tuple(classes.WIDER), "Or pass a Layer.")
    return {classes.ANY, *names, *(wider for name in names for wider in classes.WIDER[name])}


@jax.jit
def _largest_log_ratio(x: Scaled, y: Scaled) -> jax.Array:
    return largest(jnp.abs(log_ratios(x, y)))


@jax.jit
def _spread_of_log_ratios(x: Scaled, y: Scaled) -> jax.Array:
    ratios = log_ratios(x, y)
    return largest(ratios) + largest(-ratios)


@jax.jit
def _difference(x: Scaled | Numbers, y: Scaled | Numbers) -> Scaled:
    x, y = as_scaled(x), as_scaled(y)
    return added(x, Scaled(-y.mantissa, y.exponent))


@partial(jax.jit, static_argnums=1)
def _norm(x: jax.Array, order: float) -> jax.Array:
    if order == 2:
        return jnp.sqrt(jnp.sum(x * x, axis=-1))
    return jnp.sum(jnp.abs(x), axis=-1) if order == 1 else largest(jnp.abs(x))


_POSITIVE_LAYERS = "Use weights >= 0 without zero rows and positive inputs."


def _checked(name: str, distance: jax.Array, remedy: str = _POSITIVE_LAYERS) -> jax.Array:
    if not is_traced(distance) and bool(jnp.isnan(distance).any()):
        given = f"values that are not positive, for {name}"
        raise SpecError(given, "positive finite numbers", remedy)
    return distance
