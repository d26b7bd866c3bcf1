"""Patches of an image: which positions a filter sees around every position."""

import itertools

import numpy as np


def neighbours(
    image_shape: tuple[int, ...], kernel_size: int, padding: str
) -> tuple[tuple[int, ...], ...]:
    """[positions, patch]: positions around every one, row by row; -1 beyond the image with zero padding."""
    reach = range(-(kernel_size // 2), kernel_size // 2 + 1)
    found = []
    for position in itertools.product(*(range(size) for size in image_shape)):
        line = []
        for offset in itertools.product(reach, repeat=len(image_shape)):
            place = [p + d for p, d in zip(position, offset, strict=True)]
            inside = all(0 <= p < size for p, size in zip(place, image_shape, strict=True))
            wrapped = [p % size for p, size in zip(place, image_shape, strict=True)]
            line.append(
                int(np.ravel_multi_index(wrapped, image_shape))
                if inside or padding == "circular"
                else -1
            )
        found.append(tuple(line))
    return tuple(found)
