"""Gaussian quadrature of activations, in float64 on the host.

Smooth: trapezoidal rule, error exp(-2 pi d / h) at spacing h for f analytic in |Im z| < d
(tanh(s Z): d = pi / (2 s)); Gauss-Hermite has exp(-c sqrt(nodes)). Kinks: Gauss-Legendre between
them.
"""

import math
from functools import lru_cache

import numpy as np

from deepinit.core.activation import Activation
from deepinit.core.activation import derivatives as derivatives
from deepinit.core.activation import differences as differences
from deepinit.core.activation import values as values
from deepinit.core.errors import SpecError
from deepinit.core.gauss_legendre import normal_panels
from deepinit.core.host import on_host as on_host
from deepinit.core.reproducible import constant

_RANGE = 12.0  # the normal density integrates to 1 - 4e-33 on [-12, 12]
_FINE_EDGES = tuple(np.linspace(-_RANGE, _RANGE, 129)[1:-1].tolist())  # of a second rule
_RESOLVED = 1e-9  # relative difference of the two rules
_SIZE = 1024  # of the arrays that activations are examined on: compiled already


@lru_cache(maxsize=64)
def normal_rule(
    kinks: tuple[float, ...] = (), num_nodes: int = 241
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights: sum(weights * f(nodes)) = E f(Z), Z ~ N(0, 1).

    `num_nodes` on [-12, 12], or per piece between kinks of f or a derivative. Relative error about
    1e-15 for f analytic in |Im z| < 0.6 (241 nodes) or 1.1 (121), or smooth between kinks.
    """
    inside = sorted({float(kink) for kink in kinks if -_RANGE < kink < _RANGE})
    if inside:
        return normal_panels([-_RANGE, *inside, _RANGE], num_nodes)
    nodes = np.linspace(-_RANGE, _RANGE, num_nodes)
    weights = np.full(num_nodes, nodes[1] - nodes[0])
    return nodes, weights * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


@lru_cache(maxsize=64)
def is_odd(activation: Activation) -> bool:
    """Whether phi(-x) = -phi(x) to rounding on a grid; then E phi(Z) = 0."""
    grid = np.linspace(0.0, _RANGE, 2 * _SIZE + 1)[1:]
    left, right = _many_values(activation, -grid), _many_values(activation, grid)
    return bool(np.abs(left + right).max() <= 1e-12 * np.abs(right).max())


def expectation(activation: Activation, power: int = 1, variance: float = 1.0) -> float:
    """E[phi(sqrt(variance) Z)^power], to about 1e-12 relative."""
    std = math.sqrt(variance)
    kinks = tuple(kink / std for kink in activation.kinks) if std else ()
    nodes, weights = normal_rule(kinks)
    return float(np.sum(weights * values(activation, std * nodes) ** power))


def default_weight_var(activation: Activation) -> float:
    """Default weight variance (times fan_in) without biases.

    Homogeneous: 2 / (left^2 + right^2), critical, preserves the mean square (He: 2 for ReLU). Odd
    with phi'(0) != 0 (tanh, erf, sin): 1 / phi'(0)^2, critical at K = 0, norms decay as 1/depth.
    Others (GELU, SiLU, ELU, softplus): 1 / E[phi(Z)^2], fixed point K = 1 of the preactivation
    variance, not critical (`di.critical`). Growth per layer, of gradients and small angles:
    chi_perp = E[phi'(Z)^2] / E[phi(Z)^2] (GELU 1.072, SiLU 1.067, softplus 0.318); of K - 1:
    chi_parallel (GELU 1.144, SiLU 1.173).

    13 digits, equal on every processor. Rounded activations take the inner one's.
    Raises SpecError: a step function; E[phi(Z)^2] not finite or unresolved by quadrature.
    """
    if activation.name == "rounded":
        return default_weight_var(dict(activation.parameters)["activation"])  # type: ignore[arg-type]
    if activation.slopes is not None:
        return 2.0 / sum(slope**2 for slope in activation.slopes)
    if is_odd(activation):
        slope = float(derivatives(activation, np.zeros(1))[0])
        if slope != 0.0:
            return 1.0 / slope**2
    return _inverse_mean_square(activation)


@lru_cache(maxsize=256)
def _inverse_mean_square(activation: Activation) -> float:
    """1 / E[phi(Z)^2] to 13 digits."""
    grid = np.linspace(0.1, 5.0, 50)
    with np.errstate(over="ignore"):
        square = expectation(activation, power=2)
        ends = float(np.max(values(activation, np.array([-_RANGE, _RANGE])) ** 2))
        fine = _fine_mean_square(activation)
    if not ends * math.exp(-0.5 * _RANGE**2) < 1e-9 * square:  # exp(x^2): not integrable
        square = math.inf
    reason = ""
    if not derivatives(activation, np.concatenate([-grid, grid])).any():
        reason = "piecewise constant"
    elif not (math.isfinite(square) and square > 0.0):
        reason = f"of mean square E[phi(Z)^2] = {square:g}"
    elif not abs(square - fine) <= _RESOLVED * fine:
        reason = f"with details too fine for quadrature (E[phi(Z)^2] = {square:.6g} or {fine:.6g})"
    if reason:
        raise SpecError(
            f"the activation {activation!r}, {reason}, without a weight law",
            "activations with a slope and a finite mean square (jnp.tanh); or a weight law",
            "Write the variance of the weights, weight_law=di.normal(1.0).",
        )
    return constant(1.0 / square, 13)


def _fine_mean_square(activation: Activation) -> float:
    """E[phi(Z)^2] by a finer rule."""
    nodes, weights = normal_rule((*_FINE_EDGES, *activation.kinks), 32)
    return float(np.sum(weights * _many_values(activation, nodes) ** 2))


def _many_values(activation: Activation, x: np.ndarray) -> np.ndarray:
    """phi(x) on arrays of one size."""
    padded = np.concatenate([x, np.zeros(-len(x) % _SIZE)]).reshape(-1, _SIZE)
    return np.concatenate([values(activation, part) for part in padded])[: len(x)]
