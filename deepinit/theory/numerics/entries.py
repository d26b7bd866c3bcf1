"""Entries a <= b of symmetric matrices as vectors."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Entries(NamedTuple):
    """The p = k (k + 1) / 2 entries of a symmetric [k, k] matrix, row-major upper triangle.

    Attributes:
        rows, columns: [p], a <= b.
        at: [k, k], index of entry (a, b).
        neighbours: [p, 3], indices of (a, a), (a, b), (b, b).
        diagonal, mixed: indices of a = b, [k], and of a != b.
    """

    rows: np.ndarray
    columns: np.ndarray
    at: np.ndarray
    neighbours: np.ndarray
    diagonal: np.ndarray
    mixed: np.ndarray


@lru_cache(maxsize=64)
def entries(num_rows: int) -> Entries:
    """The entries of a [num_rows, num_rows] matrix."""
    a, b = np.triu_indices(num_rows)
    at = np.empty((num_rows, num_rows), dtype=np.int64)
    at[a, b] = at[b, a] = np.arange(len(a))
    neighbours = np.stack([at[a, a], at[a, b], at[b, b]], axis=1)
    return Entries(a, b, at, neighbours, np.diag(at).copy(), np.flatnonzero(a != b))


def count_rows(size: int) -> int:
    """k of p = k (k + 1) / 2."""
    return int(((8 * size + 1) ** 0.5 - 1) / 2 + 0.5)
