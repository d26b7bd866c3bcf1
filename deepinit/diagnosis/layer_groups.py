"""Layers of a diagnosis in at most 6 groups."""

import itertools
from typing import Any, NamedTuple

import numpy as np

MOST = 6
MARKED = ("log_norm", "log_sin2", "log_gradient2")
_MARKS = {
    "collapse": "log_sin2",
    "exploding": "log_gradient2",
    "vanishing": "log_gradient2",
    "overflow": "log_norm",
    "underflow": "log_norm",
}


class Group(NamedTuple):
    """Layers `first` to `last`, from 1.

    Attributes:
        values: name -> means at the first and the last layer.
        spreads: name -> standard deviation between networks at the last layer.
        marks: names that a cause concerns here.
    """

    first: int
    last: int
    values: dict[str, tuple[float, float]]
    spreads: dict[str, float]
    marks: tuple[str, ...]

    @property
    def label(self) -> str:
        """`3` or `3-17`."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


def groups(found: Any, most: int = MOST) -> list[Group]:
    """First and last layer alone, equal parts between; each layer up to `most`."""
    bounds = _bounds(found.depth, max(min(most, MOST), 3))
    return [_group(found, first, last) for first, last in bounds]


def _bounds(depth: int, most: int) -> list[tuple[int, int]]:
    if depth <= most:
        return [(at, at) for at in range(1, depth + 1)]
    ends = np.linspace(1, depth - 1, most - 1).round().astype(int)
    inner = [(int(a) + 1, int(b)) for a, b in itertools.pairwise(ends)]
    return [(1, 1), *inner, (depth, depth)]


def _group(found: Any, first: int, last: int) -> Group:
    layers = found.scores.layers
    values = {n: (layers[n][first - 1].mean, layers[n][last - 1].mean) for n in MARKED}
    marks = tuple(
        _MARKS[cause.id]
        for cause in found.causes
        if cause.id in _MARKS and cause.layers is not None
        if cause.layers[0] <= last and cause.layers[1] >= first
    )
    spreads = {name: layers[name][last - 1].spread for name in MARKED}
    return Group(first, last, values, spreads, marks)
