"""Cotangents: gradients of scalar functions of a network's output, with log-scales as rows have them, and what is done to them on the way back."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.networks.activate import activate
from deepinit.networks.rows import Rows


class Cotangents(NamedTuple):
    """Gradients of scalar functions of the output with respect to one layer: exp(log_scales) * vectors.

    Attributes:
        vectors: [num, width].
        log_scales: [num], natural logarithms.
    """

    vectors: jax.Array
    log_scales: jax.Array


class Products(NamedTuple):
    """Inner products exp(log_scale) * value, [..., num, num], of gradients with respect to some parameters.

    The products of one layer of a deep network may be 1e-80: they are summed over layers at the largest log-scale.
    """

    value: jax.Array
    log_scale: jax.Array


def total(parts: Products) -> Products:
    """The sum over the first axis, at the largest log-scale of products other than 0."""
    there = (parts.value != 0) | ~(
        parts.log_scale < jnp.inf
    )  # rows that overflowed are 0 at an infinite scale
    largest = jnp.max(jnp.where(there, parts.log_scale, -jnp.inf), axis=0)
    largest = jnp.where(jnp.any(there, axis=0), largest, 0)
    shares = jnp.exp(jnp.where(there, parts.log_scale - largest, 0))
    return Products(jnp.sum(parts.value * shares, axis=0), largest)


def sum_of(*parts: Products) -> Products:
    """The sum of several products."""
    return total(jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts))


def times_slopes(
    back: Cotangents, rows: Rows, points: tuple[int, ...], activation: Activation
) -> Cotangents:
    """phi'(rows) times the cotangents: the same product as of tangents, which `activate` takes with its log-scales."""
    scales = back.log_scales[:, None]
    frames = _with_frames(rows, back.vectors[:, None], scales, points)
    after = activate(frames, activation)
    return Cotangents(after.tangents[:, 0], after.log_stretches[:, 0])


def plus(first: Cotangents, second: Cotangents) -> Cotangents:
    """The sum, at the first one's scales."""
    ratio = jnp.exp(second.log_scales - first.log_scales)[:, None]
    return first._replace(vectors=first.vectors + ratio * second.vectors)


def rescaled(back: Cotangents) -> Cotangents:
    """The root mean square of every vector moved into its log-scale."""
    size = jnp.sqrt(jnp.mean(back.vectors**2, axis=1))
    size = jnp.where(size == 0, 1, size)
    return Cotangents(back.vectors / size[:, None], back.log_scales + jnp.log(size))


def log_norm2(back: Cotangents) -> jax.Array:
    """[num]: ln of the squared norms, -inf for 0."""
    return 2 * back.log_scales + jnp.log(jnp.sum(back.vectors**2, axis=1))


def _with_frames(
    rows: Rows, tangents: jax.Array, scales: jax.Array, points: tuple[int, ...]
) -> Rows:
    return dataclasses.replace(
        rows, tangents=tangents, log_stretches=scales, frame_bases=points, known=None
    )
