"""Gaussian quadrature of activations, in float64 on the host, with a stated error.

Smooth functions: the trapezoidal rule, whose error for a function analytic in the strip |Im z| < d is exp(-2 pi d / h)
at spacing h (tanh(s Z): d = pi / (2 s)), where Gauss-Hermite converges only like exp(-c sqrt(nodes)). Functions with
kinks: Gauss-Legendre on the pieces between the kinks.
"""

import itertools
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core.activations import BUILTIN, Activation
from deepinit.core.forks import require_unforked

_RANGE = 12.0  # the normal density integrates to 1 - 4e-33 on [-12, 12]


@lru_cache(maxsize=64)
def normal_rule(kinks: tuple[float, ...] = (), num_nodes: int = 241) -> tuple[np.ndarray, np.ndarray]:
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
        halves = [(0.5 * (right - left), 0.5 * (right + left)) for left, right in itertools.pairwise(edges)]
        nodes = np.concatenate([half * legendre + middle for half, middle in halves])
        weights = np.concatenate([half * mass for half, _ in halves])
    else:
        nodes = np.linspace(-_RANGE, _RANGE, num_nodes)
        weights = np.full(num_nodes, nodes[1] - nodes[0])
    return nodes, weights * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def on_host(fn: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """fn of float64 NumPy arrays as a float64 NumPy array, also where fn is a JAX function (scoped x64, on the CPU)."""
    import jax
    import jax.numpy as jnp

    require_unforked()
    with jax.enable_x64(True), jax.default_device(jax.local_devices(backend="cpu")[0]):
        return np.asarray(fn(*(jnp.asarray(array, jnp.float64) for array in arrays)), dtype=np.float64)


def values(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi(x) in float64 on the host; built-ins need no JAX."""
    return np.asarray(activation(x)) if activation.name in BUILTIN else on_host(activation, x)


def differences(activation: Activation, x: np.ndarray, dx: np.ndarray) -> np.ndarray:
    """phi(x + dx) - phi(x) in float64 on the host, to relative accuracy."""
    if activation.name in BUILTIN:
        return np.asarray(activation.difference(x, dx))
    return on_host(activation.difference, x, dx)


def expectation(activation: Activation, power: int = 1, variance: float = 1.0) -> float:
    """E[phi(sqrt(variance) Z)^power], to about 1e-12 relative (see `normal_rule`)."""
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in activation.kinks) if std else ()
    nodes, weights = normal_rule(kinks)
    return float(np.sum(weights * values(activation, std * nodes) ** power))


def default_weight_var(activation: Activation) -> float:
    """The weight variance (times fan_in) that deepinit takes when none is given: critical at zero bias.

    Homogeneous activations: 2 / (left^2 + right^2), which keeps the mean square of every layer (He: 2 for ReLU).
    Odd ones (tanh, erf, sin): 1 / phi'(0)^2, the edge of chaos at zero bias. Others (GELU, SiLU, softplus, ...):
    1 / E[phi(Z)^2], which keeps unit preactivation variance.
    """
    if activation.slopes is not None:
        return 2.0 / sum(slope**2 for slope in activation.slopes)
    grid = np.linspace(0.1, 5.0, 50)
    if np.allclose(values(activation, -grid), -values(activation, grid), rtol=1e-12, atol=1e-12):
        step = np.asarray([1e-8])  # `differences` keeps its digits however small the step
        return float(1.0 / (differences(activation, 0.0 * step, step)[0] / step[0]) ** 2)
    return 1.0 / expectation(activation, power=2)
