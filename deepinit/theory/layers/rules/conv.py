"""Convolutions: Dense on patches, R_(a,p)(b,q) = (v / size) sum_o G_(a,p+o)(b,q+o) + b."""

from functools import lru_cache
from typing import Any

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Conv
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rules_table import FIRST_ORDER, entry_variance
from deepinit.theory.layers.state import Pending, State, num_rows, settle
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Conv)
def _conv(layer: Conv, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    positions, channels = shape.positions or (), shape.width or 1
    places = patches(layer.size, layer.stride, layer.padding, positions)
    entry = entry_variance(layer, "law", channels * places.shape[1], depth, path)
    bias = entry_variance(layer, "bias", 1, depth, path)
    inputs = num_rows(state) // shape.num_positions
    sums = over_patches(matrix_of(settle(state, tape).gram), places, inputs)
    return Pending(channels * entry * vector_of(sums) + bias, layer.channels, ColumnLaw())


def over_patches(matrix: Any, places: np.ndarray, inputs: int) -> Any:
    """Sums over offsets of products [k, k], as [k', k'], k' = inputs x patches."""
    positions = len(matrix) // inputs
    padded = jnp.pad(matrix.reshape(inputs, positions, inputs, positions), ((0, 0), (0, 1)) * 2)
    total: Any = 0.0
    for place in places.T:
        total = total + padded[:, place][:, :, :, place]
    return total.reshape(inputs * len(places), -1)


@lru_cache(maxsize=64)
def patches(size: int, stride: int, padding: str, positions: tuple[int, ...]) -> np.ndarray:
    """[patches, size^d], positions in a patch; their number for places outside."""
    margin = 0 if padding == "valid" else size // 2
    sides = []
    for length in positions:
        starts = stride * np.arange((length + 2 * margin - size) // stride + 1) - margin
        side = starts[:, None] + np.arange(size)
        sides.append(side % length if padding == "circular" else side)
    rank = len(positions)
    grid = np.zeros((1,) * 2 * rank, dtype=np.int64)
    inside = np.ones_like(grid, dtype=bool)
    for axis, (side, length) in enumerate(zip(sides, positions, strict=True)):
        where = [1] * 2 * rank
        where[axis], where[rank + axis] = side.shape
        grid = grid * length + side.reshape(where)
        inside = inside & ((side >= 0) & (side < length)).reshape(where)
    grid = np.where(inside, grid, int(np.prod(positions)))
    return grid.reshape(-1, size**rank)
