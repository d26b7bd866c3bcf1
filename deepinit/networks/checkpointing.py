"""Where the way back starts anew: layers are computed again from rows that were kept, so that memory has a bound at every depth.

The shape (n_1, ..., n_k) divides n_1 ... n_k layers into n_1 stretches, every one of them into n_2, and so on; the last, of n_k layers, are kept
whole. Whoever goes back holds n_1 + ... + n_{k-1} sets of rows and n_k layers, and computes every layer k times: once on the way forward, once
more with every division it lies in. Depth costs time then (every layer once more for each further division), not memory.
"""

import math

from deepinit.networks.rows import Rows

_KEPT_BYTES = 2**19  # of one network
_KEPT_ROWS = 96  # or so many sets of rows, where a few already take more
_SETS_OF_A_LAYER = 4  # what enters, preactivations, directions and normals


def stretch_shapes(length: int, rows: Rows, width: int) -> list[tuple[int, ...]]:
    """Shapes of consecutive runs, of `length` layers together: one run, and short ones for what its stretches leave over.

    Args:
        length: layers of one shape.
        rows: what enters the first.
        width: of the widest rows in a layer.
    """
    capacity = max(
        _KEPT_ROWS, _KEPT_BYTES // (len(rows.points) * width * rows.points.dtype.itemsize)
    )
    found = []
    while length:
        divisions = 0
        while sets_kept(shape := _shape(length, divisions)) > capacity and shape[0] > 3:
            divisions += 1
        found.append(shape)
        length -= math.prod(shape)
    return found


def sets_kept(shape: tuple[int, ...]) -> int:
    """Sets of rows that are held at once, at most."""
    return sum(shape[:-1]) + _SETS_OF_A_LAYER * shape[-1]


def _shape(length: int, divisions: int) -> tuple[int, ...]:
    """With (nearly) the least `sets_kept`: n_1 = ... = n_{k-1} = 4 n_k, as far as divisors allow."""
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
    """The divisor nearest to `wanted`, by ratio, if it is within a factor 2: layers left over would be compiled once more."""
    wanted = max(wanted, 1.0)
    near = [
        count
        for count in range(1, length + 1)
        if length % count == 0 and wanted / 2 <= count <= 2 * wanted
    ]
    distance = lambda count: round(
        abs(math.log(count / wanted)), 9
    )  # of two at one ratio the smaller
    return min(near, key=distance) if near else round(wanted)
