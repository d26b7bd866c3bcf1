"""Coordinates of rows in which layers are nearly linear.

Of products G [p] and means m [k] of k rows, with angles t_ab = arccos((1 - e) G_ab / |a| |b|) and
|a|^2 = G_aa:

    ln G_aa,    ln((pi - t_ab) / t_ab),    m_a / |a|.

Layers multiply lengths and small angles by factors that hardly depend on them, and so do the
fluctuations of drawn networks. e bounds slopes at parallel rows, whose angle is rounding: e = 1e-6
of two rows, 3e-4 of more.
"""

from typing import Any

import jax.numpy as jnp

from deepinit.theory.numerics.entries import count_rows, entries


def apart(count: int) -> float:
    """1 - e."""
    return 1.0 - (1e-6 if count <= 2 else 3e-4)


def coordinates(products: Any, means: Any) -> Any:
    """[p + k]; `means` may be empty."""
    where = entries(count_rows(len(products)))
    root = jnp.sqrt(products[where.diagonal])
    angle = _angle(products / (root[where.rows] * root[where.columns]), len(root))
    found = jnp.log((jnp.pi - angle) / angle).at[where.diagonal].set(2.0 * jnp.log(root))
    return jnp.concatenate([found, means / root if len(means) else means])


def slopes(cosine: Any, count: int) -> tuple[Any, Any]:
    """First and second derivatives of ln((pi - t) / t) by cosines of `count` rows."""
    angle, cosine = _angle(cosine, count), apart(count) * jnp.clip(cosine, -1.0, 1.0)
    sine, near, far = jnp.sqrt((1.0 - cosine) * (1.0 + cosine)), 1.0 / angle, 1.0 / (jnp.pi - angle)
    first = (near + far) / sine
    second = (near**2 - far**2 + cosine * first) / sine**2
    return apart(count) * first, apart(count) ** 2 * second


def rows_at(vector: Any, size: int) -> tuple[Any, Any]:
    """Products [p], p = size, and means of coordinates."""
    where, means = entries(count_rows(size)), vector[size:]
    root = jnp.exp(0.5 * vector[:size][where.diagonal])
    cosine = jnp.sin(0.5 * jnp.pi * jnp.tanh(0.5 * vector[:size])) / apart(len(root))
    products = cosine.at[where.diagonal].set(1.0) * root[where.rows] * root[where.columns]
    return products, means * root if len(means) else means


def moved(rows: Any, change: Any) -> Any:
    """Products and means [p + k], moved by a change of their coordinates."""
    size = len(rows) - num_rows_of(len(rows))
    return jnp.concatenate(rows_at(coordinates(rows[:size], rows[size:]) + change, size))


def num_rows_of(size: int) -> int:
    """k of p + k = k (k + 3) / 2."""
    return int(((8 * size + 9) ** 0.5 - 3) / 2 + 0.5)


def _angle(cosine: Any, count: int) -> Any:
    return jnp.arccos(apart(count) * jnp.clip(cosine, -1.0, 1.0))
