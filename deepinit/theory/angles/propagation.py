"""Random walk of ln sin^2 of the angle of two inputs, with Gaussian steps.

X = ln sin^2 after a layer is Gaussian given the angle before it, with the moments of `angles.layer`
or of Approximation 2,

    X_{l+1} = X_l - (2/(3 pi)) theta_l - rho(n_{l+1}) + N(0, 8 n_{l+1} / (n_{l+1} + 5)^2),

clipped at 0. Two solutions: the density (`angles.density_grid`), and the Gaussian closure

    m' = E mu(Y),    V' = Var mu(Y) + E sigma^2(Y),    Y = min(m + sqrt(V) N(0, 1), 0),

by quadrature, mu - 2 ln(theta) as a Chebyshev series on [0, pi/2]. Expansions in V fail: the
derivatives of mu in X diverge at X = 0.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.polynomial import Chebyshev

from deepinit.core import validate
from deepinit.core.activations import Activation, as_activation, relu
from deepinit.core.array_api import array_namespace, as_floats, is_traced
from deepinit.core.errors import SpecError
from deepinit.core.typing import ActivationLike, Float, Like
from deepinit.theory.angles import density_grid
from deepinit.theory.angles.chain import DRIFT, acute_angle, check_widths, log_sin2
from deepinit.theory.angles.layer import (
    THEORIES,
    check_theory,
    is_relu,
    layer_coefficients,
    mean_at_width,
    rho,
    variance_at_width,
)
from deepinit.theory.angles.mixed_moments import mixed_moment

_DEGREE = 40  # of the Chebyshev series: coefficients beyond are rounding
_NODES = 0.25 * math.pi * (1.0 + np.polynomial.chebyshev.chebpts1(_DEGREE + 1))
_CLOSURE_POINTS = 801
_REACH = 12.0  # initial half width of the grid, in standard deviations of the closure

# width -> (mean, variance) of the next ln sin^2, at fixed angles
_Law = Callable[[int], tuple[np.ndarray, np.ndarray]]
_RawLaw = Callable[[np.ndarray], _Law]  # angles -> law, its mean uncut


class Walk(NamedTuple):
    """Law of ln sin^2 of the angle after each layer.

    mean, variance: of the density (first layer: unclipped) on increasing values of ln sin^2, whose
    `numpy.trapezoid(density, grid)` is 1. If the grid ends at 0, the last half cell holds the
    probability of 0. closure_mean, closure_variance: of the Gaussian closure.
    """

    mean: Float[Like, "layers"]
    variance: Float[Like, "layers"]
    grid: Float[Like, "points"]
    density: Float[Like, "layers points"]
    closure_mean: Float[Like, "layers"]
    closure_variance: Float[Like, "layers"]


def log_sin2_propagation(
    theta0: float,
    widths: Sequence[int],
    theory: str = "second_order",
    *,
    activation: ActivationLike = relu,
) -> Walk:
    """Law of ln sin^2 of the angle after every layer, by a Gaussian random walk.

    Host float64 to 1e-4 standard deviations, conditional on no degenerate layer
    (`degeneracy_probability`); JAX in theta0's dtype.

    Args:
        theta0: angle of the inputs in (0, pi] (approximation: below pi).
        widths: n_1, ..., n_L >= 1 (ReLU-only forms: >= 2).
        theory: of `log_sin2_mean`, or "approximation", the paper's Approximation 2 (ReLU).
        activation: positively homogeneous.

    SpecError: theta0 traced, an activation that is not positively homogeneous, images at an obtuse
    angle. Valid for: no bias, independent Gaussian weights. Error of ReLU means: second_order 0.003
    at width 256 (31 layers), 0.14 at width 16 (12 layers), tapered 0.03 at width 16. First steps
    from obtuse angles: error 0.02 at width 16, 0.006 at width 64. Reference: arXiv:2302.09712v3.
    """
    walk = _walk(*_checked(theta0, widths, theory, activation))
    xp = array_namespace(theta0)
    if xp is np:
        return walk
    dtype = as_floats(xp, theta0)[0].dtype
    return Walk(*(xp.asarray(part, dtype=dtype) for part in walk))


def log_sin2_moments(
    theta0: float,
    widths: Sequence[int],
    theory: str = "second_order",
    *,
    activation: ActivationLike = relu,
) -> tuple[Float[np.ndarray, "layers"], Float[np.ndarray, "layers"]]:
    """Mean and variance of `log_sin2_propagation`, host float64; read-only.

    The last 64 results are kept.
    """
    return _moments(*_checked(theta0, widths, theory, activation))


@lru_cache(maxsize=64)
def _moments(
    start: float, sizes: tuple[int, ...], theory: str, activation: Activation
) -> tuple[np.ndarray, np.ndarray]:
    walk = _walk(start, sizes, theory, activation)
    mean, variance = np.array(walk.mean), np.array(walk.variance)
    mean.flags.writeable = variance.flags.writeable = False  # shared by all callers
    return mean, variance


def _walk(start: float, sizes: tuple[int, ...], theory: str, activation: Activation) -> Walk:
    raw_law = partial(_raw_law, theory=theory, activation=activation)
    mean, variance = (float(value[0]) for value in _law(raw_law, np.array([start]))(sizes[0]))
    closure = _closure(mean, variance, sizes, theory, activation)
    reach = _REACH
    while True:
        grid = _grid(*closure, reach, max(sizes), raw_law)
        masses, moments = _propagate(grid, mean, variance, sizes, raw_law)
        reach *= 1.5
        if masses[:, :2].sum(axis=1).max() < 1e-13 or reach > 100.0:
            break
    density = masses / density_grid.cells(grid)
    return Walk(moments[:, 0], moments[:, 1], grid, density, *closure)


def _law(raw_law: _RawLaw, theta: np.ndarray) -> _Law:
    """Mean, cut at 0 (the 1/n series can exceed it), and variance."""
    raw = raw_law(theta)

    def law(n: int) -> tuple[np.ndarray, np.ndarray]:
        mean, variance = raw(n)
        return np.minimum(mean, 0.0), variance

    return law


def _raw_law(theta: np.ndarray, theory: str, activation: Activation) -> _Law:
    if theory == "approximation":
        return lambda n: (
            log_sin2(theta) - DRIFT * theta - rho(n),
            np.full(theta.shape, 8.0 * n / (n + 5.0) ** 2),
        )
    at = layer_coefficients(theta, theory, activation, (1.0, 1.0))
    return lambda n: (mean_at_width(at, n, theory), variance_at_width(at, n, theory))


def _closure(
    mean: float, variance: float, widths: tuple[int, ...], theory: str, activation: Activation
) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances, [layers] each."""
    states = [(mean, variance)]
    for n in widths[1:]:
        states.append(_closure_step(*states[-1], _series(n, theory, activation)))
    means, variances = np.array(states).T
    return means, variances


@lru_cache(maxsize=256)
def _series(n: int, theory: str, activation: Activation) -> tuple[Chebyshev, Chebyshev]:
    """Of mu - 2 ln(theta) and sigma^2 on [0, pi/2], smooth in theta."""
    mu, sigma2 = _node_law(theory, activation)(n)
    domain = [0.0, 0.5 * math.pi]
    smooth = Chebyshev.fit(_NODES, mu - 2.0 * np.log(_NODES), _DEGREE, domain=domain)
    return smooth, Chebyshev.fit(_NODES, sigma2, _DEGREE, domain=domain)


@lru_cache(maxsize=16)
def _node_law(theory: str, activation: Activation) -> _Law:
    return _raw_law(_NODES, theory, activation)


def _closure_step(
    mean: float, variance: float, series: tuple[Chebyshev, Chebyshev]
) -> tuple[float, float]:
    points, weights = density_grid.gaussian_points(mean, variance, _CLOSURE_POINTS)
    theta = acute_angle(points)
    smooth, sigma2 = (part(theta) for part in series)
    mu = np.minimum(smooth + 2.0 * np.log(theta), 0.0)
    center = float(weights @ mu)
    return center, float(weights @ ((mu - center) ** 2 + np.maximum(sigma2, 0.0)))


def _grid(
    means: np.ndarray, variances: np.ndarray, reach: float, width: int, raw_law: _RawLaw
) -> np.ndarray:
    """Points for all layers, in half deviations of the widest layer's step."""
    spread = reach * np.sqrt(variances) + 1e-3
    low, high = float((means - spread).min()), min(float((means + spread).max()), 0.0)
    # Quadratic at the upper end: the moments are functions of sqrt(-X) near X = 0.
    table = high - (high - low) * np.linspace(1.0, 0.0, 2001) ** 2
    _, variance = _law(raw_law, acute_angle(table))(width)
    return density_grid.spaced(table, np.sqrt(variance))


def _propagate(
    grid: np.ndarray, mean: float, variance: float, widths: tuple[int, ...], raw_law: _RawLaw
) -> tuple[np.ndarray, np.ndarray]:
    """Masses, [layers, points]; mean and variance."""
    law = _law(raw_law, acute_angle(grid))
    # The first law may be far narrower than a cell: the next step starts from separate points.
    points, weights = density_grid.gaussian_points(mean, variance)
    masses = [density_grid.kernel(grid, np.array([mean]), np.array([variance])) @ np.ones(1)]
    moments = [(mean, variance)]
    transitions: dict[int, Any] = {}
    for layer, n in enumerate(widths[1:], start=2):
        if layer == 2:
            steps = _law(raw_law, acute_angle(points))(n)
            mass = density_grid.kernel(grid, *steps) @ weights
        else:
            if n not in transitions:
                transitions[n] = density_grid.kernel(grid, *law(n))
            mass = transitions[n] @ masses[-1]
        center = mass @ grid
        masses.append(mass)
        moments.append((center, mass @ (grid - center) ** 2))
    return np.array(masses), np.array(moments)


def _checked(
    theta0: float, widths: Sequence[int], theory: str, activation: ActivationLike
) -> tuple[float, tuple[int, ...], str, Activation]:
    """Arguments of `_walk`; SpecError."""
    phi = as_activation(activation)
    _check(theta0, widths, theory, phi)
    start = min(float(theta0), math.pi)  # pi in float32 is above pi
    if _is_odd(phi):
        start = min(start, math.pi - start)  # by the symmetry b -> -b
    return start, tuple(int(width) for width in widths), theory, phi


def _check(theta0: float, widths: Sequence[int], theory: str, activation: Activation) -> None:
    validate.require(np.ndim(theta0) == 0, f"theta0={theta0!r}", "one angle", "Loop over angles.")
    if is_traced(theta0):
        allowed = "concrete angles: the walk is a host function, its grid depends on the angle"
        remedy = "Call it outside jit, or take approximation_1 or infinite_width_angles."
        raise SpecError("a traced theta0", allowed, remedy)
    validate.angle(theta0)
    odd = _is_odd(activation)
    if theta0 == 0 or (theta0 >= math.pi and odd):
        remedy = "Collinear images stay so: ln sin^2 is -inf."
        raise SpecError(f"theta0={theta0}", "inputs that are not collinear", remedy)
    validate.choice("theory", theory, (*THEORIES, "approximation"))
    if theory == "approximation":
        given, remedy = f"theory={theory!r} with {activation!r}", "Take second_order."
        validate.require(is_relu(activation), given, "theory 'approximation' with ReLU", remedy)
        given = (
            f"theta0={theta0} with theory={theory!r}, whose first step starts at ln sin^2 = -inf"
        )
        validate.require(
            theta0 < math.pi, given, "angles below pi", "Take second_order or tapered."
        )
    else:
        check_theory(theory, activation)
    if activation.slopes is None:
        remedy = "Use deepinit.theory.angles.kernel_propagation, which follows the norms too."
        raise SpecError(f"activation={activation!r}", "positively homogeneous activations", remedy)
    check_widths(widths, 1 if theory in ("first_order", "second_order") else 2)
    if odd:
        return
    left, right = activation.slopes
    start = min(float(theta0), math.pi)
    same, opposite = mixed_moment(1, 1, start), mixed_moment(1, 1, math.pi - start)
    cosine = (left**2 + right**2) * same - 2 * left * right * opposite  # E phi(G) phi(H)
    if cosine < 0:
        given = f"theta0={theta0} with {activation!r}, whose images are at an obtuse angle"
        remedy = "Use deepinit.theory.angles.kernel_propagation, or an acute theta0."
        raise SpecError(given, "images at an acute angle: sin^2 has no sign of the cosine", remedy)


def _is_odd(activation: Activation) -> bool:
    return activation.slopes is not None and activation.slopes[0] == activation.slopes[1]
