"""Gauss-Legendre quadrature."""

import math
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core.array_api import array_namespace


def panels(edges: Any, num_nodes: int) -> tuple[Any, Any]:
    """Nodes and weights [..., panels * num_nodes] between edges [..., panels + 1]; NumPy or JAX."""
    edges = array_namespace(edges).asarray(edges)
    left, right = edges[..., :-1, None], edges[..., 1:, None]
    half, middle = 0.5 * (right - left), 0.5 * (right + left)
    nodes, weights = _rule(num_nodes)
    shape = (*edges.shape[:-1], (edges.shape[-1] - 1) * num_nodes)
    return (middle + half * nodes).reshape(shape), (half * weights).reshape(shape)


def normal_panels(edges: Any, num_nodes: int) -> tuple[Any, Any]:
    """`panels`, weights times the standard normal density."""
    nodes, weights = panels(edges, num_nodes)
    xp = array_namespace(nodes)
    return nodes, weights * xp.exp(-0.5 * nodes**2) / math.sqrt(2.0 * math.pi)


def unit_rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1]."""
    nodes, weights = _rule(num_nodes)
    return 0.5 * (nodes + 1.0), 0.5 * weights


@lru_cache(maxsize=64)
def _rule(num_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    return np.polynomial.legendre.leggauss(num_nodes)
