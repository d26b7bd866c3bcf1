"""Length of a curve's image at infinite hidden width: mean and variance.

The n outputs have independent Gaussian velocities of covariance C(t, s) (`velocities`);
rho = C(t, s) / sqrt(C(t, t) C(s, s)). Speeds are sqrt(C(t, t)) times chi variables:
    E[speed(t) speed(s)]
        = 2 (Gamma((n+1)/2) / Gamma(n/2))^2 sqrt(C(t, t) C(s, s)) 2F1(-1/2, -1/2; n/2; rho^2):
the non-central chi mean of rho g + sqrt(1 - rho^2) h, averaged over |g|^2 ~ chi^2_n. The covariance
has 2F1 - 1.
Quadrature in t and d = |t - s|, a square of the Gauss-Legendre variable: smooth in spite of
half-integer powers of d; over half the square by symmetry.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import unit_rule
from deepinit.core.specs import MLP
from deepinit.core.typing import Array, Float, Like, Plain, Real
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.validate import checked_limit


class LengthMoments(NamedTuple):
    """Moments of the length of a curve's image over networks.

    Attributes:
        mean, variance: in units of the output.
        mean_error, variance_error: of the quadrature, from three quarters of the nodes (usually too
            large).
    """

    mean: float
    variance: float
    mean_error: float
    variance_error: float


def velocity_kernel(
    spec: MLP, curve: Curve, t: Real[Array, "nodes"] | Plain
) -> Float[np.ndarray, "nodes nodes"]:
    """Covariance C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds of one neuron's velocities.

    Of z^depth without an output layer; float64, output units squared over t squared; exact
    diagonal. Bias-free ReLU, circle about 0: C = -q c'', K = q c(t - s), c the iterated arc-cosine
    kernel.

    Raises SpecError: unresolved activation; a curve through 0 without biases and with a kink at 0.
    Valid for: independent centred entries, infinite width, fixed depth; error O(depth/width).
        Homogeneous activations: closed form, 1e-14 a layer; others: accuracy of
        `recursion.kernel_layers`.
    Reference: `velocities`; arc-cosine kernels: Cho & Saul 2009.
    """
    t = validate.array("t", t, ["nodes"], "One row of finite numbers.")
    _check_ties(spec, curve)
    first, second = np.triu_indices(len(t), k=1)
    point, pair = _velocities(spec, curve, t, first, second)
    kernel = np.diag(point)
    kernel[first, second] = kernel[second, first] = pair
    return kernel


def curve_length_moments(
    spec: MLP,
    curve: Curve,
    num_nodes: int = 32,
    *,
    through: Literal["recursion", "neural_tangents"] = "recursion",
) -> LengthMoments:
    """Mean and variance of the length of the curve's image, counted with multiplicity.

    E L = sqrt(2) g int sqrt(C(t, t)) dt,    g = Gamma((n+1)/2) / Gamma(n/2),
    Var L = 2 g^2 int int sqrt(C(t, t) C(s, s)) [2F1(-1/2, -1/2; n/2; rho^2) - 1] dt ds,

    n = output_width, C = `velocity_kernel`, rho its correlation. ReLU at any biases:
    E L = |curve| sqrt(output_var n / n_0) (hidden_var / 2)^{depth/2} g sqrt(2/n).

    Args:
        spec: with an output layer.
        curve: in input space; circles up to one turn.
        num_nodes: in each direction, >= 4. Curves close to 0 (without biases) or around it off
            centre need more: see the returned errors.
        through: `recursion`, or derivatives of neural-tangents' kernel; they agree to about 1e-9.

    Raises SpecError: no output layer, more than one turn; `velocity_kernel`.
    Valid for: infinite hidden widths, fixed depth and output width, independent centred output
        weights; relative error O(depth/width). variance/mean^2 = O(1/output_width) leads only for
        output_width << width/depth.
    Reference: ReLU mean: limit of arXiv 2102.10492.
    """
    validate.integer("num_nodes", num_nodes, 4, "Leave it out for 32.")
    if spec.output_width is None:
        allowed = "a spec with output_width, the finite number n of outputs"
        remedy = "The length is that of n Gaussian processes. Give output_width."
        raise SpecError("a spec without an output layer", allowed, remedy)
    _check_ties(spec, curve)
    if curve.kind == "circle" and not curve.is_closed and curve.stop - curve.start > 2.0 * math.pi:
        given = "a circle of more than one turn"
        raise SpecError(given, "at most one turn", "Cut it at a full turn.")
    validate.choice("through", through, ("recursion", "neural_tangents"))
    mean, variance = _moments(spec, curve, num_nodes, through)
    coarse_mean, coarse_variance = _moments(spec, curve, 3 * num_nodes // 4, through)
    moments = LengthMoments(
        mean, variance, abs(mean - coarse_mean), abs(variance - coarse_variance)
    )
    return checked_limit(moments, "of the length")


def squared_speeds(
    spec: MLP, curve: Curve, t: Float[np.ndarray, "nodes"]
) -> Float[np.ndarray, "nodes"]:
    """Diagonal C(t, t) of `velocity_kernel`."""
    t = validate.array("t", t, ["nodes"], "One row of finite numbers.")
    _check_ties(spec, curve)
    none = np.zeros(0, np.int32)
    return _velocities(spec, curve, t, none, none)[0]


def speed_product_excess(
    output_width: int, correlation: Float[Like, "*shape"]
) -> Float[Like, "*shape"]:
    """Cov[|g|, |h|] / E[|g|]^2 of correlated standard normal vectors of size n = output_width.

    2F1(-1/2, -1/2; n/2; rho^2) - 1; 1/(2n) rho^2 for large n.
    """
    from scipy.special import hyp2f1

    return (
        hyp2f1(-0.5, -0.5, 0.5 * output_width, np.minimum(np.asarray(correlation) ** 2, 1.0)) - 1.0
    )


def _moments(spec: MLP, curve: Curve, num_nodes: int, through: str) -> tuple[float, float]:
    """Mean and variance by one rule."""
    from scipy.special import poch

    assert spec.output_width is not None
    t, s, weights = _half_square_rule(curve, num_nodes)
    num = len(t)
    # Pairs of weight 0 up to a power of two, so that rules share a compiled program.
    padding = 2 ** math.ceil(math.log2(num)) - num
    t, s = (np.append(nodes, np.full(padding, curve.start)) for nodes in (t, s))
    weights = np.append(weights, np.zeros(padding))
    first, second = np.arange(2 * len(t)).reshape(2, -1)
    point, pair = _velocities(spec, curve, np.concatenate([t, s]), first, second)
    if through == "neural_tangents":
        from deepinit.infinite_width.kernels import neural_tangents_velocities

        apart = weights > 0  # of the padding t = s, where that kernel has no second derivative
        pair = np.array(pair)
        pair[apart] = neural_tangents_velocities(spec, curve, t[apart], s[apart])
    speeds = np.sqrt(point)
    norms = speeds[first] * speeds[second]
    correlation = np.divide(pair, norms, out=np.zeros_like(pair), where=norms > 0)
    excess = norms * speed_product_excess(spec.output_width, correlation)
    chi = math.sqrt(2.0) * poch(0.5 * spec.output_width, 0.5)  # the mean of a chi variable
    # The rule of the square integrates (speed(t) + speed(s)) / 2 too, |square| / period as much.
    mean = (
        chi * np.sum(weights * 0.5 * (speeds[first] + speeds[second])) / (curve.stop - curve.start)
    )
    return float(mean), float(chi**2 * np.sum(weights * excess))


def _velocities(spec: MLP, curve: Curve, t: np.ndarray, first: np.ndarray, second: np.ndarray):
    """C(t, t) [nodes] and C(t, s) [pairs]."""
    weight_vars, bias_vars = layer_variances(spec, curve.dimension)
    small = _in_its_span(curve)
    with host_float64():
        import jax
        import jax.numpy as jnp

        from deepinit.infinite_width.resolution import check_resolution

        run = jax.jit(_last_velocities, static_argnums=0)
        x, tangents = jnp.asarray(small.points(t)), jnp.asarray(small.tangents(t))
        activated = weight_vars[:-1], bias_vars[:-1]
        check_resolution(spec.activation, np.mean(np.asarray(x) ** 2, axis=1), *activated)
        layers = jnp.asarray(weight_vars), jnp.asarray(bias_vars)
        last = run(spec.activation, x, tangents, first, second, *layers)
        point, pair = np.asarray(last.point), np.asarray(last.pair)
    return checked_limit(point, "velocity of a curve"), checked_limit(pair, "velocity of a curve")


def _last_velocities(activation, x, tangents, first, second, weight_vars, bias_vars):
    import jax.numpy as jnp

    from deepinit.infinite_width.pairs import Rows, half_angle
    from deepinit.infinite_width.velocities import velocities_of_points, velocity_scan

    difference, total = x[second] - x[first], x[second] + x[first]
    growth, angle = jnp.mean(difference * total, axis=1), half_angle(x[first], difference)
    covariance = jnp.mean(x[first] * x[second], axis=1)
    rows = Rows(jnp.mean(x**2, axis=1), growth, angle, covariance, first, second)
    return velocity_scan(
        activation, rows, velocities_of_points(x, tangents, first, second), weight_vars, bias_vars
    )


def _in_its_span(curve: Curve) -> Curve:
    """The curve in coordinates of its span."""
    coordinates = np.linalg.qr(curve.coefficients.T).R.T
    return dataclasses.replace(
        curve, coefficients=coordinates * math.sqrt(coordinates.shape[1] / curve.dimension)
    )


def _half_square_rule(curve: Curve, num_nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes t, s and weights for twice the integral over s > t."""
    period = curve.stop - curve.start
    x, mass = unit_rule(num_nodes)
    # On a closed curve d and period - d are the same distance.
    reach = 0.5 * period if curve.is_closed else period
    distance, distance_mass = reach * x**2, 2.0 * reach * x * mass
    room = np.full_like(distance, period) if curve.is_closed else period - distance
    if _is_stationary(curve):
        x, mass = unit_rule(1)
    elif curve.is_closed:  # the trapezoidal rule, best for periodic functions
        x, mass = np.arange(num_nodes) / num_nodes, np.full(num_nodes, 1.0 / num_nodes)
    t = curve.start + room[:, None] * x
    weights = 2.0 * (distance_mass * room)[:, None] * mass
    return t.ravel(), (t + distance[:, None]).ravel(), weights.ravel()


def _is_stationary(curve: Curve) -> bool:
    """Whether a circle's axis passes through 0."""
    if curve.kind != "circle":
        return False
    centre, first, second = curve.coefficients
    size = float(np.linalg.norm(centre)) * curve.speed + curve.speed**2
    return bool(max(abs(centre @ first), abs(centre @ second)) <= 1e-14 * size)


def _check_ties(spec: MLP, curve: Curve) -> None:
    if spec.bias_law is None and curve.meets_origin and spec.activation.has_corner(0.0):
        given = f"a curve through 0, a kink of {spec.activation!r}, for a network without biases"
        allowed = "a curve that misses 0, or a network with biases"
        raise SpecError(given, allowed, "All units switch there at once and the velocity jumps.")
