"""Kernels of windows of positions: patches of convolutions, means of pools."""

import itertools
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.infinite_width.states import State, linear_map

Padding = Literal["zero", "circular", "valid"]


def over_patches(
    block: Any,
    positions: tuple[int, ...],
    size: int,
    stride: int,
    padding: Padding,
    aligned: bool = False,
) -> Any:
    """sum_o block[..., s p + o, s q + o] over the offsets o of a patch, centred unless `valid`.

    `block`: [..., P, P]; `aligned`: [..., P], p = q. `positions`: sides of an image.
    """
    sides, rank = 1 if aligned else 2, len(positions)
    lead = block.shape[:-sides]
    sites = block.reshape(-1, *positions * sides)
    margin = 0 if padding == "valid" else size // 2
    mode: Any = {"mode": "wrap"} if padding == "circular" else {}
    for axis, length in enumerate(positions, start=1):
        count = (length + 2 * margin - size) // stride + 1
        axes = tuple(axis + rank * side for side in range(sides))
        pads = [(margin * (place in axes),) * 2 for place in range(sites.ndim)]
        padded = jnp.pad(sites, pads, **mode) if margin else sites
        sites = sum(_strided(padded, axes, o, count, stride) for o in range(size))
    last = int(np.prod(sites.shape[1 : rank + 1]))
    return sites.reshape(*lead, *(last,) * sides)


def _strided(sites: Any, axes: tuple[int, ...], start: int, count: int, stride: int) -> Any:
    for axis in axes:
        stop = start + (count - 1) * stride + 1
        sites = jax.lax.slice_in_dim(sites, start, stop, stride, axis)
    return sites


def pooled(state: State, positions: tuple[int, ...], size: int, stride: int, padding: int) -> State:
    """Means over windows; padded positions do not count."""
    maps = [jnp.asarray(_averages(length, size, stride, padding)) for length in positions]

    def rows(values: Any) -> Any:  # [..., P] -> [..., P']
        sites = values.reshape(-1, *positions)
        for axis, matrix in enumerate(maps, start=1):
            sites = jnp.moveaxis(jnp.moveaxis(sites, axis, -1) @ matrix.T, -1, axis)
        return sites.reshape(*values.shape[:-1], -1)

    def block(values: Any) -> Any:
        left = jnp.swapaxes(rows(values), -1, -2)
        return jnp.swapaxes(rows(left), -1, -2)

    return linear_map(state, block, mean=rows(state.mean))


def mean_over_positions(state: State) -> State:
    """The mean over all positions."""
    mean = state.mean.mean(-1, keepdims=True)
    return linear_map(state, lambda block: block.mean((-2, -1), keepdims=True), mean=mean)


def _averages(length: int, size: int, stride: int, padding: int) -> np.ndarray:
    """[windows, length], rows of sum 1."""
    count = (length + 2 * padding - size) // stride + 1
    matrix = np.zeros((count, length))
    for window, offset in itertools.product(range(count), range(size)):
        place = window * stride + offset - padding
        if 0 <= place < length:
            matrix[window, place] = 1.0
    return matrix / matrix.sum(axis=1, keepdims=True)
