"""Fluctuations of rows' averages, and those of functions of them, of mean 0 given the past.

With M = average - mean and an unbiased estimate D of M M^T, f a function of rows,

    f(mean + M) - f(mean)  ~  f' M + f'' : (M M^T - D) / 2,
    the product of two     ~  f' (M M^T - D) f'^T,

have mean 0 for every f: its derivatives are taken at the mean.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.theory.layers.coordinates import apart, num_rows_of, slopes
from deepinit.theory.numerics.entries import entries


class Noise(NamedTuple):
    """Of d functions, to second order: differences to the mean [d], and products [d, d].

    The products of functions of one average; those of several are products of differences.
    """

    value: Any
    within: Any


class Fluctuation(NamedTuple):
    """Of products and means of rows [p + k].

    Attributes:
        mean: of the average, given the past; of independent rows where it is not known.
        noise: of the average; 0 there, and of dead rows.
    """

    mean: Any
    noise: Noise


def noise_of(average: Any, mean: Any, square: Any, known: Any) -> Noise:
    """Of an average itself; 0 where its mean is not `known`, products if `square`, D, is None."""
    value = jnp.where(known, average - mean, 0.0)
    if square is None:
        return Noise(value, jnp.zeros((len(mean),) * 2, mean.dtype))
    return Noise(value, jnp.where(known[:, None] & known, jnp.outer(value, value) - square, 0.0))


def fluctuation(average: Any, mean: Any, square: Any) -> Fluctuation:
    """Of an average over rows' columns."""
    where = entries(num_rows_of(len(mean)))
    alive = mean[where.diagonal] > 0
    known = jnp.isfinite(mean) & jnp.concatenate([alive[where.rows] & alive[where.columns], alive])
    independent = np.isin(np.arange(len(mean)), where.diagonal)
    noise = noise_of(average, mean, square, known)
    return Fluctuation(jnp.where(known, mean, independent), noise)


def separated(rows: Fluctuation) -> Fluctuation:
    """With cosines times 1 - e (`coordinates`), so that slopes of functions are bounded."""
    count = num_rows_of(len(rows.mean))
    where = entries(count)
    factor = np.where(where.rows == where.columns, 1.0, apart(count))
    return rows._replace(mean=rows.mean * np.concatenate([factor, np.ones(count)]))


def of_function(function: Callable[[Any], Any], rows: Fluctuation) -> Noise:
    """Of a function [m] of rows [p + k]; 0 where its derivatives are not finite."""
    mean, (noise, within) = rows
    jacobian = jax.jacfwd(function)(mean)

    def second(direction: Any, other: Any) -> Any:
        along = lambda x: jax.jvp(function, (x,), (direction,))[1]
        return jax.jvp(along, (mean,), (other,))[1]

    curved = jnp.sum(jax.vmap(second)(within, jnp.eye(len(mean), dtype=mean.dtype)), axis=0)
    sound = jnp.isfinite(jacobian).all(axis=1)
    value = jnp.where(sound, jacobian @ noise + 0.5 * curved, 0.0)
    products = jacobian @ within @ jacobian.T
    return Noise(value, jnp.where(sound[:, None] & sound, products, 0.0))


def of_coordinates(rows: Fluctuation) -> Noise:
    """`of_function` of `coordinates`, in closed form.

    With M in units of |a| |b| and |a|, u_a = M_aa, r = (cosines, relative means), S_ia the number
    of rows a in entry i, h = r / 2, and 0 of lengths:

        dr = M - h S u - M S u / 2 + h ((S u)^2 / 4 + S u^2 / 2),    d ln G_aa = u_a - u_a^2 / 2.
    """
    count = num_rows_of(len(rows.mean))
    where, unit = entries(count), np.eye(count)
    own, angles = where.diagonal, np.flatnonzero(where.rows != where.columns)
    is_length = np.isin(np.arange(len(rows.mean)), own)
    of_rows = np.concatenate([unit[where.rows] + unit[where.columns], unit])
    root = jnp.sqrt(rows.mean[own])
    size = jnp.concatenate([root[where.rows] * root[where.columns], root])
    noise, within = rows.noise.value / size, rows.noise.within / size[:, None] / size
    ratio = rows.mean / size
    half = jnp.where(is_length, 0.0, 0.5 * ratio)

    spread, lengths = within[:, own], within[own][:, own]
    squared = 0.25 * jnp.sum(of_rows @ lengths * of_rows, axis=1)
    squared = squared + 0.5 * of_rows @ jnp.diagonal(lengths)
    crossed = np.where(is_length[:, None], 0.5, 1.0) * of_rows * spread  # u_a^2 of lengths
    value = noise - half * (of_rows @ noise[own] - squared) - 0.5 * jnp.sum(crossed, axis=1)
    turned = within - half[:, None] * (of_rows @ spread.T)
    turned = turned - half * (turned[:, own] @ of_rows.T)

    place = np.full(len(ratio), len(angles))
    place[angles] = np.arange(len(angles))
    first, second = slopes(ratio[angles], count)
    slope, curvature = jnp.append(first, 1.0)[place], jnp.append(second, 0.0)[place]
    value = slope * value + 0.5 * curvature * jnp.diagonal(turned)
    return Noise(value, slope[:, None] * turned * slope)
