"""Checkpointing of the backward pass: bounded memory at any depth.

Shape (n_1, ..., n_k): n_1 segments of n_2 ... of n_k layers. Stored are n_1 + ... + n_{k-1} sets of
rows and n_k layers; layers are computed k times.
"""

import math

from deepinit.networks.rows import Rows

_STORED_BYTES = 2**19  # per network
_STORED_ROWS = 96  # sets of rows, where fewer already exceed the bytes
_SETS_OF_A_LAYER = 4  # inputs, preactivations, directions, normals


def checkpoint_shapes(length: int, rows: Rows, width: int) -> list[tuple[int, ...]]:
    """Shapes of one long and then short runs, `length` layers in total.

    `rows` enter the first layer; `width` is the widest in a layer.
    """
    set_bytes = len(rows.points) * width * rows.points.dtype.itemsize
    capacity = max(_STORED_ROWS, _STORED_BYTES // set_bytes)
    shapes = []
    while length:
        divisions = 0
        while num_stored(shape := _shape(length, divisions)) > capacity and shape[0] > 3:
            divisions += 1
        shapes.append(shape)
        length -= math.prod(shape)
    return shapes


def num_stored(shape: tuple[int, ...]) -> int:
    """Most sets of rows stored at once."""
    return sum(shape[:-1]) + _SETS_OF_A_LAYER * shape[-1]


def _shape(length: int, divisions: int) -> tuple[int, ...]:
    """Shape of nearly least `num_stored`: n_1 = ... = n_{k-1} = 4 n_k, up to divisors."""
    if divisions == 0:
        return (length,)
    side = (_SETS_OF_A_LAYER * length) ** (1 / (divisions + 1))
    last = _near(length, side / _SETS_OF_A_LAYER)
    shape: tuple[int, ...] = (last,)
    for left in range(divisions, 0, -1):
        length //= shape[0]
        shape = (_near(length, length ** (1 / left)) if left > 1 else length, *shape)
    return shape


def _near(length: int, wanted: float) -> int:
    """Divisor nearest to `wanted` within a factor 2, else `wanted` rounded."""
    wanted = max(wanted, 1.0)
    divisors = [count for count in range(1, length + 1) if length % count == 0]
    near = [count for count in divisors if wanted / 2 <= count <= 2 * wanted]
    distance = lambda count: round(abs(math.log(count / wanted)), 9)  # ties: the smaller
    return min(near, key=distance) if near else round(wanted)
