"""Horofunctions: how the distance to a far point changes with the point it is measured from.

h_y(z) = d(z, y) - d(o, y), with o the base point. Along the iterates of a random walk, h converges to a metric functional whose value falls at the
rate of the drift. For Thompson's metric and o = (1, ..., 1), with d = d(o, y), u = (1/y) e^-d and v = y e^-d, both in (0, 1] with max(u, v) = 1,

    h_y(z) = ln max(max_i v_i / z_i, max_i u_i z_i),

since d(z, y) = ln max(max_i y_i / z_i, max_i z_i / y_i): the coordinates where u or v is near 1 carry the drift.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.random_maps.metrics import hilbert_distance, thompson_distance
from deepinit.random_maps.scaled import Scaled, as_scaled, direction, log_ratios


class Horofunction(NamedTuple):
    """The two weights of Thompson's horofunctions.

    Attributes:
        log_u, log_v: [..., n], <= 0; the largest of all is 0.
    """

    log_u: jax.Array
    log_v: jax.Array

    @property
    def carriers(self) -> jax.Array:
        """[...]: the coordinate that carries the distance."""
        return jnp.argmax(jnp.maximum(self.log_u, self.log_v), axis=-1)

    @property
    def grows(self) -> jax.Array:
        """[...]: is the carrier the largest coordinate, and not the smallest?"""
        return jnp.max(self.log_v, axis=-1) >= jnp.max(self.log_u, axis=-1)


def thompson_horofunction(y: Any) -> Horofunction:
    """The horofunction of y for Thompson's metric, seen from (1, ..., 1).

    Args:
        y: [..., n], positive; an array or `Scaled`, e.g. the states of `Iterates`.

    Raises:
        SpecError: where an entry is not positive.

    Reference: arXiv:2104.10727; derivation: module docstring.
    """
    y = as_scaled(y)
    ones = as_scaled(jnp.ones_like(y.mantissa))
    logs = log_ratios(y, ones)
    distance = thompson_distance(y, ones)[..., None]
    return Horofunction(-logs - distance, logs - distance)


def at_point(horofunction: Horofunction, z: Any) -> jax.Array:
    """h(z) at z [..., n], positive: [...]."""
    z = as_scaled(z)
    logs = log_ratios(z, as_scaled(jnp.ones_like(z.mantissa)))
    return jnp.maximum(
        jnp.max(horofunction.log_v - logs, axis=-1), jnp.max(horofunction.log_u + logs, axis=-1)
    )


def hilbert_horofunction(y: Any, z: Any) -> jax.Array:
    """d_H(z, y) - d_H((1, ..., 1), y), both arguments positive, [..., n]: [...]."""
    y = as_scaled(y)
    return hilbert_distance(z, y) - hilbert_distance(as_scaled(jnp.ones_like(y.mantissa)), y)


def euclidean_horofunction(y: Any, z: Any) -> jax.Array:
    """The limit of |z - s y| - |s y| as s -> infinity: -<z, y / |y|>, for the l^2 norm and the base point 0: [...]."""
    unit = direction(y) if isinstance(y, Scaled) else direction(as_scaled(y))
    return -jnp.sum(jnp.asarray(z) * unit, axis=-1)
