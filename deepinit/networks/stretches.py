"""Runs of layers in stretches: of many layers the way back keeps only the rows at the starts of about sqrt(depth) stretches."""

import math
from typing import Any

import jax

from deepinit.networks.layers import Segment
from deepinit.networks.rows import Rows

_KEPT_BYTES = 2**19  # of one network: as much as is kept of all layers of a run


def stretches(segment: Segment, source: Any, rows: Rows) -> list[tuple[Segment, Any]]:
    """A run of layers as stretches [stretches, layers, ...]: one if all of it may be kept, else about sqrt(length), and what is left over as one more.

    Of a layer what enters, the preactivations, directions and normals are kept, each about as large as the widest rows.
    """
    size = 4 * len(rows.points) * max(segment.fan_in, segment.fan_out) * rows.points.dtype.itemsize
    length = segment.length if segment.length * size <= _KEPT_BYTES else _stretch_length(segment.length)
    whole = segment.length // length * length
    parts = [(whole, jax.tree.map(lambda leaf: leaf[:whole].reshape(-1, length, *leaf.shape[1:]), source))]
    if whole < segment.length:
        parts.append((segment.length - whole, jax.tree.map(lambda leaf: leaf[whole:][None], source)))
    return [(segment._replace(length=count), part) for count, part in parts]


def _stretch_length(length: int) -> int:
    """The divisor nearest to sqrt(length), by ratio, if it is within a factor 2: stretches left over would be compiled once more."""
    root = math.sqrt(length)
    near = [count for count in range(1, length + 1) if length % count == 0 and root / 2 <= count <= 2 * root]
    return min(near, key=lambda count: abs(math.log(count / root))) if near else math.isqrt(length)
