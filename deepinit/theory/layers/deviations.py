"""Deviations of drawn networks from infinite width: functions of mean 0 that follow them.

A layer takes the deviation a = s - s* and the noises M of its averages to

    a' = k + n,    k = J a + H : aa / 2 + T : aaa / 6,    n = G M + W : MM / 2,

with J, H, T its derivatives in the state, G and W those in M, taken at a to second and first order.
With e and v the parts of mean 0 of n and n n^T (`fluctuations`), and [] the sum over placements,

    z' = J z + H : X / 2 + T : C / 6 + e,
    X' = J X J^T + [J H : C] / 2 + [k e] + v,
    C' = J J J C + [k k e] + [k v].

z, X and C have mean 0 at every width, whatever the derivatives are: M and v have, given the past.
They follow a, a a and a a a, less their means, up to fourth order in the noises and cubes of M.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax.scipy.linalg import block_diag

from deepinit.theory.layers.fluctuations import Noise
from deepinit.theory.layers.taylor import CUBIC, Taylor

_FAR = 2.0  # e-folds from infinite width, beyond which derivatives are not expanded
_DEAD = 8.0  # e-folds, of rows that are dead, up to rounding


class Deviation(NamedTuple):
    """Of a state or of functions: z [d], X [d, d] and C [d, d, d] of one network.

    C is empty beyond `CUBIC` coordinates, and of functions.
    """

    value: Any
    square: Any
    cube: Any


def undisturbed(size: int) -> Deviation:
    """At infinite width."""
    return Deviation(jnp.zeros(size), jnp.zeros((size, size)), _no_cube(size))


def _no_cube(size: int) -> Any:
    return jnp.zeros((size if size <= CUBIC else 0,) * 3)


def limited(away: Any) -> Any:
    """a, within the range of expansions."""
    return jnp.clip(jnp.nan_to_num(away), -_FAR, _FAR)


def alive(away: Any, noise: Noise) -> Noise:
    """The noise of a network, 0 if its state is that of dead rows."""
    near = jnp.all(jnp.abs(away) < _DEAD)  # not NaN
    return Noise(*(jnp.where(near, part, 0.0) for part in noise))


def image(taylor: Taylor, deviation: Deviation) -> Deviation:
    """z' and X' without noise."""
    size = len(deviation.value)
    first, second = taylor.first[:, :size], taylor.second[:, :size, :size]
    value = first @ deviation.value + 0.5 * jnp.tensordot(second, deviation.square, 2)
    square = first @ deviation.square @ first.T
    if taylor.third is not None:
        value = value + jnp.tensordot(taylor.third[..., :size, :size], deviation.cube, 3) / 6.0
        mixed = 0.5 * first @ jnp.tensordot(deviation.cube, second, [[1, 2], [1, 2]])
        square = square + mixed + mixed.T
    return Deviation(value, square, _no_cube(0))


def pushed(taylor: Taylor, deviation: Deviation, away: Any, noises: list[Noise]) -> Deviation:
    """z', X' and C' after a layer."""
    size, change = len(away), _change(taylor, away)
    noise, within = _noise(taylor, away, noises)
    value, square, _ = image(taylor, deviation)
    crossed = jnp.outer(change, noise) + jnp.outer(noise, change)
    value, square = value + noise, square + crossed + within
    if taylor.third is None or len(change) > CUBIC:
        return Deviation(value, square, _no_cube(len(change)))
    cube = deviation.cube
    for _ in range(3):  # J at every place
        cube = jnp.tensordot(cube, taylor.first[:, :size], [[0], [1]])
    placed = jnp.multiply.outer(change, within + 0.5 * crossed)
    cube = cube + placed + jnp.moveaxis(placed, 0, 1) + jnp.moveaxis(placed, 0, 2)
    return Deviation(value, square, cube)


def _change(taylor: Taylor, away: Any) -> Any:
    """k."""
    size, squared = len(away), jnp.outer(away, away)
    change = taylor.first[:, :size] @ away
    change = change + 0.5 * jnp.tensordot(taylor.second[:, :size, :size], squared, 2)
    if taylor.third is not None:
        cubed = jnp.multiply.outer(away, squared)
        change = change + jnp.tensordot(taylor.third[..., :size, :size], cubed, 3) / 6.0
    return change


def _noise(taylor: Taylor, away: Any, noises: list[Noise]) -> tuple[Any, Any]:
    """e and v, G and W of n to first order in a beside products of noises."""
    size = len(away)
    value = jnp.concatenate([jnp.zeros(0), *(each.value for each in noises)])
    own = [jnp.outer(each.value, each.value) - each.within for each in noises]
    within = jnp.outer(value, value) - block_diag(jnp.zeros((0, 0)), *own)
    slope, bend = taylor.first[:, size:], taylor.second[:, :size, size:]
    crossed = jnp.outer(away, value)
    noise = slope @ value + jnp.tensordot(bend, crossed, 2)
    noise = noise + 0.5 * jnp.tensordot(taylor.second[:, size:, size:], within, 2)
    if taylor.third is not None:
        twice, once = (jnp.multiply.outer(away, part) for part in (crossed, within))
        noise = noise + 0.5 * jnp.tensordot(taylor.third[..., :size, size:], twice, 3)
        noise = noise + 0.5 * jnp.tensordot(taylor.third[..., size:, size:], once, 3)
    turned = slope @ within
    mixed = jnp.tensordot(jnp.multiply.outer(turned, away), bend, [[1, 2], [2, 1]])
    return noise, turned @ slope.T + mixed + mixed.T
