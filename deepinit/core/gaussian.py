"""Gaussian quadrature of activations, in float64 on the host, with a stated error.

Smooth functions: the trapezoidal rule, whose error for a function analytic in the strip |Im z| < d is exp(-2 pi d / h)
at spacing h (tanh(s Z): d = pi / (2 s)), where Gauss-Hermite converges only like exp(-c sqrt(nodes)). Functions with
kinks: Gauss-Legendre on the pieces between the kinks.
"""

import itertools
import math
from functools import lru_cache

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.errors import SpecError
from deepinit.core.host import on_host as on_host
from deepinit.core.reproducible import constant

_RANGE = 12.0  # the normal density integrates to 1 - 4e-33 on [-12, 12]


@lru_cache(maxsize=64)
def normal_rule(
    kinks: tuple[float, ...] = (), num_nodes: int = 241
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [m] and weights [m] with sum(weights * f(nodes)) = E f(Z), Z ~ N(0, 1).

    Args:
        kinks: where f or its derivative jumps, in units of Z.
        num_nodes: trapezoidal nodes on [-12, 12] for a smooth f; else Gauss-Legendre nodes on each piece.

    Returns:
        Nodes and weights. Relative error about 1e-15 for f analytic in |Im z| < 0.6 (241 nodes) or < 1.1 (121 nodes),
        and for functions smooth between the kinks.
    """
    inside = sorted({float(kink) for kink in kinks if -_RANGE < kink < _RANGE})
    if inside:
        edges = [-_RANGE, *inside, _RANGE]
        legendre, mass = np.polynomial.legendre.leggauss(num_nodes)
        halves = [
            (0.5 * (right - left), 0.5 * (right + left))
            for left, right in itertools.pairwise(edges)
        ]
        nodes = np.concatenate([half * legendre + middle for half, middle in halves])
        weights = np.concatenate([half * mass for half, _ in halves])
    else:
        nodes = np.linspace(-_RANGE, _RANGE, num_nodes)
        weights = np.full(num_nodes, nodes[1] - nodes[0])
    return nodes, weights * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def values(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi(x) in float64 on the host; built-ins need no JAX."""
    return np.asarray(activation(x)) if activation.is_builtin else on_host(activation, x)


def derivatives(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi'(x) in float64 on the host; built-ins need no JAX."""
    if activation.is_builtin:
        return np.asarray(activation.derivative(x), dtype=np.float64)
    return on_host(activation.derivative, x)


def differences(activation: Activation, x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """phi(x + dx) - phi(x) in float64 on the host, to relative accuracy."""
    if activation.is_builtin:
        return np.asarray(activation.difference(x, dx))
    return on_host(activation.difference, x, dx)


@lru_cache(maxsize=64)
def is_odd(activation: Activation) -> bool:
    """phi(-x) = -phi(x) on a grid, to rounding of the largest value: E phi(Z) is then exactly 0."""
    grid = np.linspace(0.05, 12.0, 60)
    left, right = values(activation, -grid), values(activation, grid)
    return bool(np.abs(left + right).max() <= 1e-12 * np.abs(right).max())


def expectation(activation: Activation, power: int = 1, variance: float = 1.0) -> float:
    """E[phi(sqrt(variance) Z)^power], to about 1e-12 relative (see `normal_rule`)."""
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in activation.kinks) if std else ()
    nodes, weights = normal_rule(kinks)
    return float(np.sum(weights * values(activation, std * nodes) ** power))


def default_weight_var(activation: Activation) -> float:
    """The weight variance (times fan_in) that deepinit takes when none is given, for layers without biases.

    Homogeneous activations: 2 / (left^2 + right^2), critical: it keeps the mean square of every layer (He: 2 for ReLU).
    Odd ones with phi'(0) != 0 (tanh, erf, sin): 1 / phi'(0)^2, critical at K = 0, to which norms decay as 1/depth.

    Others (GELU, SiLU, ELU, softplus, ...): 1 / E[phi(Z)^2], which makes K = 1 a fixed point of the preactivation
    variance and is not critical: gradients and small angles grow by chi_perp = E[phi'(Z)^2] / E[phi(Z)^2] in every layer,
    1.072 for GELU, 1.067 for SiLU (chaotic), 0.318 for softplus (ordered), and deviations of K from 1 by chi_parallel,
    1.144 and 1.173 for GELU and SiLU, whose norms run off. `di.critical` has critical variances.

    Rounded to 13 digits, so that every processor takes the same variance.

    A rounded activation takes the variance of its inner activation.

    Raises:
        SpecError: a step function, through which no gradient passes; E[phi(Z)^2] that is not finite.
    """
    if activation.name == "rounded":
        return default_weight_var(dict(activation.parameters)["activation"])  # type: ignore[arg-type]
    if activation.slopes is not None:
        return 2.0 / sum(slope**2 for slope in activation.slopes)
    grid = np.linspace(0.1, 5.0, 50)
    if is_odd(activation):
        slope = float(derivatives(activation, np.zeros(1))[0])
        if slope != 0.0:
            return 1.0 / slope**2
    with np.errstate(over="ignore"):
        square = expectation(activation, power=2)
        ends = float(np.max(values(activation, np.array([-_RANGE, _RANGE])) ** 2)) * math.exp(
            -0.5 * _RANGE**2
        )
    if not ends < 1e-9 * square:  # the integrand has not decayed: exp(x^2)
        square = math.inf
    flat = not derivatives(activation, np.concatenate([-grid, grid])).any()
    if flat or not (math.isfinite(square) and square > 0.0):
        what = "piecewise constant" if flat else f"of mean square E[phi(Z)^2] = {square:g}"
        raise SpecError(
            f"the activation {activation!r}, {what}, without a weight law",
            "activations with a slope and a finite mean square, such as jnp.tanh or jax.nn.relu; or a weight law",
            "Write the variance of the weights, weight_law=di.normal(1.0).",
        )
    return constant(1.0 / square, 13)
