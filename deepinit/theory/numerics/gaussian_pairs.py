"""Activations of two correlated Gaussians in the frame of `numerics.delta_method`.

Homogeneous activation, slopes l (left), r (right): u = R cos p, v = R cos(p - theta), radius
integrated out (E R^2, R^4, R^6 = 2, 8, 48). w = (b - cos(theta) a) / (2 sin(theta/2)) is O(1)
without cancellation. k = cos(theta/2), m(t) = sin(t) / (2 sin(theta/2)), h(t) = (l - r) cos(theta)
m(t):

    both positive:  p in (theta - pi/2, pi/2)        a = r cos p     w = r k sin p
    both negative:  the opposite arc                 a = l cos p     w = l k sin p
    u > 0 > v:      p = -pi/2 + t, t in (0, theta)   a = r sin t     w = -l k cos t + h(t)
    u < 0 < v:      p =  pi/2 + t, t in (0, theta)   a = -l sin t    w =  r k cos t + h(t)

Even activations (l = -r): the smaller of theta and pi - theta. Others: quadrature over (u, v);
b - a is projected node by node before squaring.
"""

import math
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.activations import Activation
from deepinit.core.array_api import with_derivative_of
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import normal_panels, unit_rule
from deepinit.core.gaussian import differences, normal_rule, values
from deepinit.core.typing import Float, Like
from deepinit.theory.numerics.delta_method import PairFrame

_ARC_NODES = 20  # exact to rounding for trigonometric polynomials of degree 6 on arcs up to pi
_SMALLEST_ANGLE = 1e-18  # its square is still a normal float32
_PLAIN_DIFFERENCE = 1e-3  # angle above which b - a loses less than 3 digits by plain subtraction
_RADIUS = 10.5  # the weight of the plane outside it is 1e-24
_PANEL_NODES = 20


def homogeneous_frame(
    xp: ModuleType, theta: Float[Like, "*shape"], slopes: tuple[float, float]
) -> PairFrame:
    """Frame of a homogeneous activation, unit variances, radius integrated out, traceable in JAX.

    theta in (0, pi], clipped at 1e-18; slopes (left, right), not both 0; accurate to the dtype.
    """
    left, right = slopes
    if left == 0.0 and right == 0.0:
        raise SpecError("an activation that is 0 everywhere", "slopes not both 0")
    theta = with_derivative_of(theta, xp.maximum(theta, _SMALLEST_ANGLE))
    if left == -right:
        opposite = with_derivative_of(math.pi - theta, xp.maximum(math.pi - theta, _SMALLEST_ANGLE))
        theta = xp.where(theta > 0.5 * math.pi, opposite, theta)
    unit, mass = (xp.asarray(part, dtype=theta.dtype) for part in unit_rule(_ARC_NODES))
    mass = mass / (2.0 * math.pi)

    angle = theta[..., None]
    wide = with_derivative_of(math.pi - angle, xp.maximum(math.pi - angle, 0.0))
    p = 0.5 * math.pi - wide * unit
    t = angle * unit
    # sin(t) / (2 sin(angle / 2)), whose derivative is finite at 0 by that of sinc
    m = unit * xp.sinc(t / math.pi) / xp.sinc(0.5 * angle / math.pi)
    c, k = xp.cos(angle), xp.cos(0.5 * angle)
    crossing = (left - right) * c * m
    a = xp.concatenate(
        [right * xp.cos(p), left * xp.cos(p), right * xp.sin(t), -left * xp.sin(t)], axis=-1
    )
    w = xp.concatenate(
        [
            right * k * xp.sin(p),
            left * k * xp.sin(p),
            crossing - left * k * xp.cos(t),
            crossing + right * k * xp.cos(t),
        ],
        axis=-1,
    )
    weights = xp.concatenate([wide * mass, wide * mass, angle * mass, angle * mass], axis=-1)
    return _orthonormal(
        xp, a, w, weights, (2.0, 2.0, 6.0), xp.cos(theta), 2.0 * xp.sin(0.5 * theta)
    )


def quadrature_frame(
    activation: Activation,
    theta: float,
    variances: tuple[float, float],
    num_nodes: int | None = None,
) -> PairFrame:
    """Frame of any activation, smooth between kinks, float64 on the host.

    Relative error 1e-12 with kinks, or if as smooth as tanh (nearest pole i pi/2) up to variance
    25; beyond, e^(-197 / std) times a power of std. Unequal variances lose a factor
    |std_u - std_v| / theta. `num_nodes` per axis, without kinks; None: 161 up to standard deviation
    1, then in proportion up to 481. SpecError: a and b collinear to rounding; a variance not finite
    and > 0.
    """
    var_u, var_v = (
        validate.positive("variances", variance, "Check weight variance and inputs.")
        for variance in variances
    )
    std_u, std_v = math.sqrt(var_u), math.sqrt(var_v)
    if activation.kinks:
        x, y, weights = kinked_rule(theta, std_u, std_v, activation.kinks)
    else:
        x, y, weights = _disk_rule(num_nodes or _nodes_for(max(std_u, std_v)))
    # v - u without cancellation at a small angle: cos - 1 = -2 sin^2(theta / 2)
    along = std_v - std_u - 2.0 * std_v * math.sin(0.5 * theta) ** 2
    step = along * x + std_v * math.sin(theta) * y
    u = std_u * x
    a = values(activation, u)
    near = theta <= _PLAIN_DIFFERENCE
    difference = differences(activation, u, step) if near else values(activation, u + step) - a
    one = np.float64(1.0)
    frame = _orthonormal(np, a, difference, weights, (1.0, 1.0, 1.0), one, one)
    spread = float(np.sum(weights * difference**2))
    log_residual = float(frame.log_sine2 + frame.log_norm2_b)
    if not (math.exp(log_residual) if np.isfinite(frame.log_sine2) else 0.0) > 1e-28 * spread:
        given = f"collinear post-activations (angle {theta:g}, variances {var_u:g} and {var_v:g})"
        remedy = "Take a positive angle below pi."
        raise SpecError(given, "two inputs with different images", remedy)
    return frame


def _orthonormal(
    xp: ModuleType,
    a: Any,
    w: Any,
    weights: Any,
    radial: tuple[float, float, float],
    scale_a: Any,
    scale_w: Any,
) -> PairFrame:
    """Gram-Schmidt of (a, w); b = scale_a * a + scale_w * w."""
    radial2, radial4, radial6 = radial

    def mean(product: Any) -> Any:
        return (weights * product).sum(-1)

    square_a = mean(a * a)
    slope = mean(a * w) / square_a
    residual = w - slope[..., None] * a
    again = mean(a * residual) / square_a  # second pass, for the rounding of the first
    residual = residual - again[..., None] * a
    square_w = mean(residual * residual)
    along = (scale_a + scale_w * (slope + again)) * xp.sqrt(square_a)
    across = scale_w * xp.sqrt(square_w)
    norm = xp.hypot(along, across)
    with np.errstate(divide="ignore", invalid="ignore"):
        return PairFrame(
            alpha=a / xp.sqrt(square_a)[..., None],
            omega=residual / xp.sqrt(square_w)[..., None],
            weights=weights,
            radial4=radial4,
            radial6=radial6,
            cosine=along / norm,
            sine=across / norm,
            log_norm2_a=xp.log(radial2 * square_a),
            log_norm2_b=2.0 * xp.log(norm) + math.log(radial2),
            log_sine2=2.0 * (xp.log(scale_w) - xp.log(norm)) + xp.log(square_w),
        )


def _nodes_for(std: float) -> int:
    """Odd number of nodes on [-12, 12], spacing 0.15 / std: 1e-13 for tanh (at 0.2: 1e-10)."""
    return 2 * round(80 * min(max(std, 1.0), 3.0)) + 1


@lru_cache(maxsize=8)
def _disk_rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trapezoidal product rule on a disk."""
    nodes, mass = normal_rule((), num_nodes)
    x, y = (grid.ravel() for grid in np.meshgrid(nodes, nodes, indexing="ij"))
    inside = x * x + y * y < _RADIUS**2
    return x[inside], y[inside], np.outer(mass, mass).ravel()[inside]


def kinked_rule(
    theta: float, std_u: float, std_v: float, kinks: tuple[float, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gauss-Legendre panels for two standard normals, split where u or v meets a kink.

    Inner rule in y at fixed x: split where v = std_v (c x + s y) meets a kink. The inner integral
    varies on the scale s / |c| in x; the outer panels resolve it.
    """
    c, s = math.cos(theta), max(math.sin(theta), 1e-300)
    clusters = [
        (kink / std_v + s * y) / c for kink in kinks for y in (-8, -4, 0, 4, 8) if abs(c) > 1e-3
    ]
    x, mass_x = _panels([kink / std_u for kink in kinks] + clusters)
    breaks = np.clip([(kink / std_v - c * x) / s for kink in sorted(kinks)], -_RADIUS, _RADIUS)
    breaks = np.sort(breaks, axis=0)
    fixed = np.linspace(-_RADIUS, _RADIUS, 8)[:, None] * np.ones_like(x)
    edges = np.sort(np.concatenate([fixed, breaks]), axis=0).T  # [x, edges]
    y, weights = normal_panels(edges, _PANEL_NODES)
    weights = weights * mass_x[:, None]
    grid = np.broadcast_to(x[:, None], y.shape)
    inside = weights > 1e-26
    return grid[inside], y[inside], weights[inside]


def _panels(splits: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and normal weights on [-10.5, 10.5], split at the points."""
    inside = [split for split in splits if -_RADIUS < split < _RADIUS]
    edges = np.unique([*np.linspace(-_RADIUS, _RADIUS, 8), *inside])
    return normal_panels(edges, _PANEL_NODES)
