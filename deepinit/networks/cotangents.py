"""Cotangents with log-scales."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.networks.activate import activate
from deepinit.networks.rows import Rows


class Cotangents(NamedTuple):
    """Gradients exp(log_scales [num]) * vectors [num, width] at one layer."""

    vectors: jax.Array
    log_scales: jax.Array


class Products(NamedTuple):
    """Inner products exp(log_scale) * value, [..., num, num], of parameter gradients."""

    value: jax.Array
    log_scale: jax.Array


def total(parts: Products) -> Products:
    """Sum over the first axis, at the largest nonzero log-scale."""
    # rows that overflowed are 0 at an infinite scale
    nonzero = (parts.value != 0) | ~(parts.log_scale < jnp.inf)
    largest = jnp.max(jnp.where(nonzero, parts.log_scale, -jnp.inf), axis=0)
    largest = jnp.where(jnp.any(nonzero, axis=0), largest, 0)
    shares = jnp.exp(jnp.where(nonzero, parts.log_scale - largest, 0))
    return Products(jnp.sum(parts.value * shares, axis=0), largest)


def sum_of(*parts: Products) -> Products:
    """Sum, as in `total`."""
    return total(jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts))


def sum_of_parts(products: Products, parts: int) -> Products:
    """[num, num] from [num * parts, num * parts]: gradients that are sums of `parts`."""
    num = len(products.value) // parts

    def split(values: jax.Array) -> jax.Array:
        return values.reshape(num, parts, num, parts).transpose(1, 3, 0, 2).reshape(-1, num, num)

    return total(Products(*(split(values) for values in products)))


def over_batch(
    functions: jax.Array, points: tuple[int, ...], batch: int
) -> tuple[jax.Array, tuple[int, ...]]:
    """Functions as cotangents of every input of the batch: 0 but at their own point."""
    own = jax.nn.one_hot(jnp.asarray(points), batch, dtype=functions.dtype)
    every = own[:, :, None] * functions[:, None]
    return every.reshape(-1, functions.shape[1]), tuple(range(batch)) * len(functions)


def times_derivative(
    back: Cotangents, rows: Rows, points: tuple[int, ...], activation: Activation
) -> Cotangents:
    """phi'(rows) times the cotangents."""
    scales = back.log_scales[:, None]
    frames = dataclasses.replace(
        rows,
        tangents=back.vectors[:, None],
        log_norm_growths=scales,
        frame_bases=points,
        cached=None,
    )
    after = activate(frames, activation)
    return Cotangents(after.tangents[:, 0], after.log_norm_growths[:, 0])


def plus(first: Cotangents, second: Cotangents) -> Cotangents:
    """Sum, at the scales of `first`."""
    ratio = jnp.exp(second.log_scales - first.log_scales)[:, None]
    return first._replace(vectors=first.vectors + ratio * second.vectors)


def rescaled(back: Cotangents) -> Cotangents:
    """Root mean squares moved into log-scales."""
    size = jnp.sqrt(jnp.mean(back.vectors**2, axis=1))
    size = jnp.where(size == 0, 1, size)
    return Cotangents(back.vectors / size[:, None], back.log_scales + jnp.log(size))


def log_norm2(back: Cotangents, batch: int = 1) -> jax.Array:
    """[num]: ln of squared norms of functions with `batch` cotangents each, -inf for 0."""
    logs = 2 * back.log_scales + jnp.log(jnp.sum(back.vectors**2, axis=1))
    return logs if batch == 1 else jax.nn.logsumexp(logs.reshape(-1, batch), axis=1)
