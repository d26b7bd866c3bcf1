"""Blocks of rows of a kernel matrix."""

from collections.abc import Iterator


def equal_slices(num: int, batch: int) -> Iterator[slice]:
    """Slices of one size up to `batch`, for one compiled program; the last may overlap."""
    count = -(-num // min(batch, num))
    size = -(-num // count)
    for index in range(count):
        start = min(index * size, num - size)
        yield slice(start, start + size)
