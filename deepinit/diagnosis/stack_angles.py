"""Angles and displacements through stacks of equal layers at infinite width.

E phi(u) phi(v) of jointly normal u, v of variance K and correlation c is sum a_n^2 c^n, a_n the
coefficients of phi(sqrt(K) z) in normalized Hermite polynomials. What is propagated is 1 - c, by
sum a_n^2 (1 - c^n): no cancellation for nearly parallel inputs.
"""

import functools
from typing import Any, NamedTuple

import numpy as np

from deepinit.diagnosis.stack_theory import NODES, RADIUS, moments

_DEGREE = 100  # the rest of E phi^2 counts as of degree 2 _DEGREE
_LEAST = 1e-12  # of sin^2, as in the scores


class Stack(NamedTuple):
    """z' = skip z + alpha (b + W phi(N z)) as in `stack_theory`, the features phi(z^L) if
    `activated`, else z^L.
    """

    activation: Any
    depth: int
    weight: float
    first: float
    bias: float
    skip: float = 0.0
    alpha: float = 1.0
    normalized: bool = False
    activated: bool = True


def collapse(stack: Stack, rows: Any) -> float:
    """The score `collapse` of rows [n, width] of equal norms, to 1 % where it is above 0.1."""
    x = np.asarray(rows, float)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = np.triu_indices(len(x), 1)
    apart = np.sum((unit[pairs[0]] - unit[pairs[1]]) ** 2, axis=1) / 2  # 1 - cosine
    start = _log_sin2(apart)
    square = stack.first * float(np.mean(x**2))
    size = square + stack.bias
    apart = square * apart / size
    for _ in range(stack.depth - 1):
        mean_square, lost = _through(stack, size, apart)
        branch = stack.alpha**2 * stack.weight
        after = stack.skip**2 * size + stack.alpha**2 * stack.bias + branch * mean_square
        apart = (stack.skip**2 * size * apart + branch * lost) / after
        size = after
    if stack.activated:
        mean_square, lost = _through(stack, size, apart)
        apart = lost / mean_square
    return float(np.mean(start - _log_sin2(apart)))


def stretch(stack: Stack, rows: Any) -> float:
    """The score `stretch` of rows [n, width] of equal norms, u_a = x_(a+1) - x_a.

    z and dz = J u are jointly normal, with K = E z^2, c = E z dz, d = E dz^2; a normalization
    removes the part of dz along z.
    """
    x = np.asarray(rows, float)
    moved = np.roll(x, -1, axis=0) - x
    square, start = float(np.mean(x**2)), float(np.mean(moved**2))
    along, length = stack.first * float(np.mean(x * moved)), stack.first * start
    size = stack.first * square + stack.bias
    skip, branch = stack.skip**2, stack.alpha**2 * stack.weight
    for _ in range(stack.depth - 1):
        mean_square, cross, grown = _moved(stack, size, along, length)
        size = skip * size + stack.alpha**2 * stack.bias + branch * mean_square
        along, length = skip * along + branch * cross, skip * length + branch * grown
    if stack.activated:
        size, _, length = _moved(stack, size, along, length)
    with np.errstate(divide="ignore"):
        return float(np.log(length / size * square / start))


def _moved(stack: Stack, size: float, along: float, length: float) -> tuple[float, float, float]:
    """E phi^2, E phi phi' dz and E (phi' dz)^2 behind an activation."""
    across = length - along**2 / size
    if stack.normalized:
        at = moments(stack.activation, 1.0)
        return at.square, 0.0, at.slope_square * across / size
    at, shared = moments(stack.activation, size), along / size
    grown = shared**2 * at.slope_growth + across * at.slope_square
    return at.square, shared * at.growth, grown


def _through(stack: Stack, size: float, apart: np.ndarray) -> tuple[float, np.ndarray]:
    """E phi(u)^2, and E phi(u)^2 - E phi(u) phi(v)."""
    unit, density, basis = _hermite()
    scale = 1.0 if stack.normalized else np.sqrt(size)
    phi = np.asarray(stack.activation(scale * unit), float)
    mean_square = float(np.sum(density * phi**2))
    weights = (basis @ (density * phi)) ** 2
    weights = np.append(weights, max(mean_square - float(np.sum(weights)), 0.0))
    degrees = np.append(np.arange(_DEGREE + 1), 2 * _DEGREE)
    apart = np.clip(apart, 0.0, 2.0)
    power = np.where(
        apart < 1, np.expm1(degrees[:, None] * np.log1p(-np.minimum(apart, 0.999999))), 0.0
    )
    power = np.where(apart < 0.999999, power, (1 - apart) ** degrees[:, None] - 1)
    return mean_square, -(weights @ power)


def _log_sin2(apart: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(apart * (2 - apart), _LEAST))


@functools.cache
def _hermite() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes, their weights under N(0, 1), and normalized polynomials [degrees, nodes]."""
    step = 2 * RADIUS / NODES
    unit = -RADIUS + step * (np.arange(NODES) + 0.5)
    density = np.exp(-(unit**2) / 2) / np.sqrt(2 * np.pi) * step
    rows = [np.ones_like(unit), unit]
    for n in range(1, _DEGREE):
        rows.append((unit * rows[n] - np.sqrt(n) * rows[n - 1]) / np.sqrt(n + 1))
    return unit, density, np.array(rows)
