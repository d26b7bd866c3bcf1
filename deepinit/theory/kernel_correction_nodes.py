"""Nodes for one and two standard normals, and activations with their derivatives on them, in float64 on the host."""

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core.activations import BUILTIN, Activation
from deepinit.core.gaussian import on_host, values

_RADIUS = 9.0  # the weight of the plane outside it is 3e-18


def values_and_slopes(activation: Activation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """phi(x) and phi'(x) in float64 on the host; built-ins need no JAX."""
    if activation.name in BUILTIN:
        return np.asarray(activation(x)), np.asarray(activation.derivative(x))
    phi, slope = on_padded(_compiled(activation), x)
    return phi, slope


def on_padded(fn: Callable[..., Any], x: np.ndarray) -> np.ndarray:
    """fn(x) of a compiled elementwise function [n] -> [m, n], for any shape of x: few sizes, so that little is compiled."""
    size = 2 ** math.ceil(math.log2(max(x.size, 1)))
    padded = np.concatenate([x.ravel(), np.zeros(size - x.size)])
    found = on_host(fn, padded)[:, : x.size]
    return found.reshape(len(found), *x.shape)


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


@lru_cache(maxsize=8)
def _trapezoidal_disk(half: int) -> tuple[np.ndarray, np.ndarray]:
    line = np.linspace(-_RADIUS, _RADIUS, 2 * half + 1)
    x, y = (grid.ravel() for grid in np.meshgrid(line, line, indexing="ij"))
    square = x * x + y * y
    kept = square <= _RADIUS**2
    weights = (_RADIUS / half) ** 2 * np.exp(-0.5 * square[kept]) / (2.0 * math.pi)
    return np.stack([x[kept], y[kept]], axis=1), weights


def spacing(std: float) -> float:
    """Of the trapezoidal rule, in units of the standard normal: 0.2 in units of the widest preactivation, between 0.05 and 0.4: tanh costs 1e-13."""
    return min(max(0.2 / max(std, 1e-300), 0.05), 0.4)


def line_rule(std: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [m] and weights [m] for one standard normal."""
    half = math.ceil(_RADIUS / spacing(std))
    nodes = np.linspace(-_RADIUS, _RADIUS, 2 * half + 1)
    return nodes, (_RADIUS / half) * np.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def disk_rule(std: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes [m, 2] and weights [m] for a pair of standard normals: the trapezoidal rule on a disk."""
    return _trapezoidal_disk(2 * math.ceil(0.5 * _RADIUS / spacing(std)))  # in steps, so that layers share their nodes
