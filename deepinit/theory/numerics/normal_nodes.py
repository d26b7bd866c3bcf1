"""Quadrature nodes for one and two standard normals; activations in float64."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.activations import BUILTIN, Activation
from deepinit.core.errors import SpecError
from deepinit.core.gaussian import on_host, values

_RADIUS = 9.0  # the weight of the plane outside it is 3e-18
_HALF_COUNTS = (
    18,
    20,
    22,
    24,
    26,
    30,
    34,
    38,
    44,
    50,
    56,
    64,
    74,
    84,
    98,
    112,
    130,
    150,
    180,
)  # few, so that layers share nodes
_LARGEST_ERROR = 1e-6
_ACCURACY = 1e-11  # for equal inputs; of others the error is about 1e-12


def values_and_derivatives(activation: Activation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi(x) and phi'(x), float64 on the host; built-ins need no JAX."""
    if activation.name in BUILTIN:
        return np.asarray(activation(x)), np.asarray(activation.derivative(x))
    phi, slope = on_padded(_compiled(activation), x)
    return phi, slope


def on_padded(fn: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """fn(x) of a compiled elementwise function [n] -> [m, n], any shape, padded to 2^k."""
    size = 2 ** math.ceil(math.log2(max(x.size, 1)))
    padded = np.concatenate([x.ravel(), np.zeros(size - x.size)])
    images = on_host(fn, padded)[:, : x.size]
    return images.reshape(len(images), *x.shape)


@lru_cache(maxsize=16)
def _compiled(activation: Activation) -> Callable[..., Any]:
    import jax
    import jax.numpy as jnp

    return jax.jit(lambda x: jnp.stack([activation(x), activation.derivative(x)]))


@lru_cache(maxsize=64)
def has_parity(activation: Activation) -> bool:
    """phi is odd or even."""
    grid = np.linspace(0.05, 8.0, 160)
    left, right = values(activation, -grid), values(activation, grid)
    scale = 1e-13 * (1.0 + np.abs(right))
    return bool((np.abs(left + right) <= scale).all() or (np.abs(left - right) <= scale).all())


@lru_cache(maxsize=256)
def _half_count(activation: Activation, level: int) -> int:
    """Steps on [0, 9] for std 2^(level/8), by halving on degree 4 and Hermite moments."""
    std = 2.0 ** (0.125 * level)
    for half in _HALF_COUNTS:
        nodes = np.linspace(-_RADIUS, _RADIUS, 4 * half + 1)
        weights = 0.5 * _RADIUS / half * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)
        phi, slope = (part * part for part in values_and_derivatives(activation, std * nodes))
        hermite = (nodes**4 - 6.0 * nodes**2 + 3.0) / math.sqrt(24.0)
        features = np.stack([phi * phi, phi * slope, slope * slope, hermite * phi, hermite * slope])
        scale = np.stack([phi * phi, phi * slope, slope * slope, phi, slope]) @ weights
        error = np.abs(2.0 * features[:, ::2] @ weights[::2] - features @ weights)
        if (error <= _ACCURACY * scale).all():
            return half
    if not (error <= _LARGEST_ERROR * scale).all():
        given = (
            f"{activation!r} at standard deviation {std:.3g}, not integrated to {_LARGEST_ERROR:g}"
        )
        allowed = "five continuous derivatives between kinks, variation on scales >= 0.1"
        raise SpecError(given, allowed, "Declare kinks, or take smaller variances.")
    return half


def half_count(activation: Activation, std: float) -> int:
    """Trapezoidal steps on [0, 9] for phi of N(0, std^2) to 1e-11: 18 to 180."""
    return _half_count(activation, max(math.ceil(8.0 * math.log2(max(std, 1e-300))), -40))


def line_rule(half: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [m] and weights [m] for one standard normal."""
    nodes = np.linspace(-_RADIUS, _RADIUS, 2 * half + 1)
    return nodes, (_RADIUS / half) * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


class DiskRule(NamedTuple):
    """Trapezoidal rule for two standard normals (u, v), on a disk.

    `line`: [k], values of u = line[place]; nodes [m, 2], weights and place [m].
    """

    nodes: np.ndarray
    weights: np.ndarray
    line: np.ndarray
    place: np.ndarray


@lru_cache(maxsize=16)
def disk_rule(half: int, folded: bool = False) -> DiskRule:
    """The rule of `half` steps per radius; folded: for f(u, v) = f(-u, -v)."""
    line = np.linspace(-_RADIUS, _RADIUS, 2 * half + 1)
    place, across = (grid.ravel() for grid in np.indices((len(line), len(line))))
    square = line[place] ** 2 + line[across] ** 2
    inside = square <= _RADIUS**2
    weights = (_RADIUS / half) ** 2 * np.exp(-0.5 * square) / (2.0 * math.pi)
    if folded:
        inside &= (place > half) | ((place == half) & (across >= half))
        weights = np.where((place == half) & (across == half), weights, 2.0 * weights)
    place, nodes = place[inside], np.stack([line[place[inside]], line[across[inside]]], axis=1)
    return DiskRule(nodes, weights[inside], line, place)
