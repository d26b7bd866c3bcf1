r"""Mean and variance of the length of a curve's image under a network of infinite hidden width and n outputs.

The outputs are n independent copies of one Gaussian process (the neurons of a linear layer on infinitely many units), and so
are their velocities along the curve, with covariance C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds (`velocities`). The speed
|dF/dt| at one t is sqrt(C(t, t)) times a chi variable with n degrees of freedom, and at two

    E[speed(t) speed(s)] = 2 (Gamma((n+1)/2) / Gamma(n/2))^2 sqrt(C(t, t) C(s, s)) 2F1(-1/2, -1/2; n/2; rho^2),

rho = C(t, s) / sqrt(C(t, t) C(s, s)): given |g|, the norm of rho g + sqrt(1 - rho^2) h is a non-central chi, whose mean is a
Kummer function of |g|^2; averaging that over |g|^2 ~ chi^2_n gives the Gauss function (n = 1: (2/pi) (sqrt(1 - rho^2) +
rho arcsin(rho))). The length is the integral of the speed; its variance is the double integral of Cov[speed(t), speed(s)],
which is the formula above with 2F1 - 1 in place of 2F1: no difference of large numbers is taken.

C has a kink |t - s| under ReLU, and 2F1 a term (1 - rho^2)^{3/2}: half-integer powers of the distance d = |t - s|. The rule
takes the coordinates (t, d), half the square by symmetry (on a closed curve d up to half the period), with d a
square of the Gauss-Legendre variable, which makes those powers smooth.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import numpy as np

from deepinit.core import validate
from deepinit.core.curves import Curve
from deepinit.core.errors import SpecError
from deepinit.core.specs import MLP
from deepinit.infinite_width.precision import host_float64
from deepinit.infinite_width.recursion import layer_variances
from deepinit.infinite_width.validate import checked_limit


class LengthMoments(NamedTuple):
    """Of the length of a curve's image, over networks; in units of the output.

    Attributes:
        mean: E[length].
        variance: Var[length].
        mean_error, variance_error: the quadrature's, estimated (and as a rule overestimated) by a rule with three
            quarters of the nodes.
    """

    mean: float
    variance: float
    mean_error: float
    variance_error: float


def velocity_kernel(spec: MLP, curve: Curve, t: np.ndarray) -> np.ndarray:
    """C(t, s) = d^2 K(gamma(t), gamma(s)) / dt ds of one neuron of the last layer, all hidden widths infinite.

    The covariance of the velocities dF_i/dt of one output along the curve; different outputs are independent.
    Bias-free ReLU network on a circle about 0, K = q c(t - s) with c the iterated arc-cosine kernel: C = -q c''.
    The diagonal is exact, though K has no second derivative in float64 there.

    Args:
        spec: the network; of the outputs, or of z^depth without an output layer.
        curve: in the space of the inputs.
        t: [nodes], parameters of the curve.

    Returns:
        [nodes, nodes] float64, in units of the output squared over t squared. Closed form for homogeneous activations (to
        1e-14 a layer); others by 2-D quadrature, to about 1e-10, at 129^2 nodes a pair.

    Raises:
        SpecError: t is no row of finite numbers, or the curve passes through 0 for a network without biases whose
            activation has a kink there.

    Valid for: any law with independent centred entries, widths to infinity at fixed depth; finite networks differ by
        O(depth/width).

    Reference: derivation in the docstring of `velocities`; arc-cosine kernels: Cho & Saul 2009.
    """
    t = _checked_nodes(t)
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
    """Mean and variance of the length of the curve's image at infinite hidden width and the spec's finite output width.

    E L = sqrt(2) g int sqrt(C(t, t)) dt and Var L = 2 g^2 int int sqrt(C(t, t) C(s, s)) [2F1(-1/2, -1/2; n/2; rho^2) - 1] dt ds,
    with g = Gamma((n+1)/2) / Gamma(n/2), n = output_width, C = `velocity_kernel`, rho its correlation. For ReLU at any biases:
    E L = |curve| sqrt(output_var n / n_0) (hidden_var / 2)^{depth/2} g sqrt(2/n).

    Args:
        spec: the network, with an output layer.
        curve: in the space of the inputs; parts of a circle up to one turn.
        num_nodes: of the quadrature, in each of its two directions, >= 4. On a circle about 0 the kernel is stationary
            and one direction suffices. A curve that passes close to 0 (without biases), or turns around it off
            centre, needs more: look at the errors returned.
        through: where C(t, s) comes from: the recursion (any activation), or derivatives of neural-tangents' kernel (those
            that it has), with the recursion's diagonal. They agree to about 1e-9.

    Returns:
        Length counted with multiplicity where the image overlaps itself.

    Raises:
        SpecError: no output layer, too few nodes, a circle of more than one turn, or what `velocity_kernel` refuses.

    Valid for: hidden widths to infinity at fixed depth and output width, a linear output layer with Gaussian weights or with
        any law of independent centred entries. Both moments of finite networks differ relatively by O(depth/width);
        the variance/mean^2 is O(1/output_width), so that it is the leading term only for output_width << width/depth.

    Reference: derivation in the module docstring; the mean for ReLU: limit of arXiv 2102.10492.
    """
    validate.integer("num_nodes", num_nodes, 4, "Leave it out for 32.")
    if spec.output_width is None:
        raise SpecError(
            "a spec without an output layer",
            "a spec with output_width, the finite number n of outputs",
            "The length at infinite width is that of n Gaussian processes: without n it has no finite mean, and "
            "divided by its mean no variance. Give output_width.",
        )
    _check_ties(spec, curve)
    if curve.kind == "circle" and not curve.is_closed and curve.stop - curve.start > 2.0 * math.pi:
        raise SpecError(
            "a circle of more than one turn", "at most one turn", "Cut it at a full turn."
        )
    if through not in ("recursion", "neural_tangents"):
        raise SpecError(f"through={through!r}", "'recursion', 'neural_tangents'", "Leave it out.")
    mean, variance = _moments(spec, curve, num_nodes, through)
    coarse_mean, coarse_variance = _moments(spec, curve, 3 * num_nodes // 4, through)
    moments = LengthMoments(
        mean, variance, abs(mean - coarse_mean), abs(variance - coarse_variance)
    )
    return checked_limit(moments, "of the length")


def squared_speeds(spec: MLP, curve: Curve, t: np.ndarray) -> np.ndarray:
    """C(t, t), the diagonal of `velocity_kernel`, without the rest: [nodes]. Arguments and errors as there."""
    t = _checked_nodes(t)
    _check_ties(spec, curve)
    none = np.zeros(0, np.int32)
    return _velocities(spec, curve, t, none, none)[0]


def speed_product_excess(output_width: int, correlation: np.ndarray) -> np.ndarray:
    """Cov[|g|, |h|] / E[|g|]^2 of two standard normal vectors with n = output_width correlated pairs of components.

    2F1(-1/2, -1/2; n/2; rho^2) - 1, elementwise in rho; 1/(2n) rho^2 as n grows, and at rho = 1 the relative variance
    of a chi variable.

    Reference: derivation in the module docstring.
    """
    from scipy.special import hyp2f1

    return (
        hyp2f1(-0.5, -0.5, 0.5 * output_width, np.minimum(np.asarray(correlation) ** 2, 1.0)) - 1.0
    )


def _moments(spec: MLP, curve: Curve, num_nodes: int, through: str) -> tuple[float, float]:
    """(mean, variance) of the length by one rule."""
    from scipy.special import poch

    assert spec.output_width is not None
    t, s, weights = _half_square_rule(curve, num_nodes)
    num = len(t)
    # Pairs of weight 0 up to a power of two: the two rules of one call, and those of others, share a compiled program.
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
    # The rule of the square serves for the curve too: it integrates (speed(t) + speed(s)) / 2 to |square| / period as much.
    mean = (
        chi * np.sum(weights * 0.5 * (speeds[first] + speeds[second])) / (curve.stop - curve.start)
    )
    return float(mean), float(chi**2 * np.sum(weights * excess))


def _velocities(spec: MLP, curve: Curve, t: np.ndarray, first: np.ndarray, second: np.ndarray):
    """(C(t, t) [nodes], C(t, s) [pairs]) of the last layer."""
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
        last = run(
            spec.activation,
            x,
            tangents,
            first,
            second,
            jnp.asarray(weight_vars),
            jnp.asarray(bias_vars),
        )
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
    """The curve in the 2 or 3 dimensions that it spans, with the same scalar products over the dimension."""
    coordinates = np.linalg.qr(curve.coefficients.T).R.T
    return dataclasses.replace(
        curve, coefficients=coordinates * math.sqrt(coordinates.shape[1] / curve.dimension)
    )


def _half_square_rule(curve: Curve, num_nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes t, s = t + d and weights [pairs]: twice the integral over d > 0, all of it for a symmetric function."""
    period = curve.stop - curve.start
    x, mass = _unit_rule(num_nodes)
    # On a closed curve d and period - d are the same distance.
    reach = 0.5 * period if curve.is_closed else period
    distance, distance_mass = reach * x**2, 2.0 * reach * x * mass
    room = np.full_like(distance, period) if curve.is_closed else period - distance
    if _is_stationary(curve):
        x, mass = _unit_rule(1)
    elif curve.is_closed:  # the trapezoidal rule, best for periodic functions
        x, mass = np.arange(num_nodes) / num_nodes, np.full(num_nodes, 1.0 / num_nodes)
    t = curve.start + room[:, None] * x
    weights = 2.0 * (distance_mass * room)[:, None] * mass
    return t.ravel(), (t + distance[:, None]).ravel(), weights.ravel()


def _unit_rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre on [0, 1]."""
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)
    return 0.5 * (nodes + 1.0), 0.5 * weights


def _is_stationary(curve: Curve) -> bool:
    """A circle whose axis passes through 0: scalar products of its points depend on t - s alone."""
    if curve.kind != "circle":
        return False
    centre, first, second = curve.coefficients
    size = float(np.linalg.norm(centre)) * curve.speed + curve.speed**2
    return bool(max(abs(centre @ first), abs(centre @ second)) <= 1e-14 * size)


def _check_ties(spec: MLP, curve: Curve) -> None:
    if spec.bias_law is None and curve.meets_origin and spec.activation.has_corner(0.0):
        raise SpecError(
            f"a curve through 0 for a network without biases whose activation {spec.activation!r} has a kink there",
            "a curve that misses 0, or a network with biases",
            "At 0 all units switch at once and the velocity jumps. Move the curve, or give a bias_law.",
        )


def _checked_nodes(t: np.ndarray) -> np.ndarray:
    try:
        nodes = np.asarray(t, np.float64)
    except (TypeError, ValueError):
        nodes = np.zeros(0)
    if nodes.ndim != 1 or not nodes.size or not np.isfinite(nodes).all():
        raise SpecError(
            f"t of shape {np.shape(t)} or not finite",
            "one row [nodes] of finite numbers",
            "Flatten it.",
        )
    return nodes
