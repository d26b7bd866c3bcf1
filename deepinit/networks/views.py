"""Views: the rows, patches or averages that linear maps act on.

Images are rows [positions * channels], positions first; patches are one row per position.
"""

import itertools
import math
from typing import Any, NamedTuple

import jax.numpy as jnp


class View(NamedTuple):
    """Patches of side `kernel_size`, or (None) the average over positions."""

    image_shape: tuple[int, ...]
    kernel_size: int | None
    padding: str = "circular"
    stride: int = 1

    @property
    def positions(self) -> int:
        """Positions of an image."""
        return math.prod(self.image_shape)

    @property
    def num_patches(self) -> int:
        """Patches of an image."""
        if self.kernel_size is None:
            return 1
        margin = 0 if self.padding == "valid" else self.kernel_size - 1
        return math.prod(
            (n + margin - self.kernel_size) // self.stride + 1 for n in self.image_shape
        )

    @property
    def patch_size(self) -> int:
        """Positions in one patch."""
        return 1 if self.kernel_size is None else self.kernel_size ** len(self.image_shape)

    def fan_in(self, width: int) -> int:
        """Entries of one patch."""
        return width // self.positions * self.patch_size

    def extract(self, rows: Any) -> Any:
        """[num, width] -> [num * positions, fan_in]; average: [num, channels]."""
        num = rows.shape[0]
        if self.kernel_size is None:
            return jnp.mean(rows.reshape(num, self.positions, -1), axis=1)
        if self.kernel_size == 1 and self.stride == 1:
            return rows.reshape(num * self.positions, -1)
        # shifted images, not a gather: the derivative of a gather is a slow scatter
        reach = 0 if self.padding == "valid" else self.kernel_size // 2
        padding = ((0, 0), *((reach, reach),) * len(self.image_shape), (0, 0))
        mode = "wrap" if self.padding == "circular" else "constant"
        images = jnp.pad(rows.reshape(num, *self.image_shape, -1), padding, mode=mode)
        shifted = []
        for first in itertools.product(range(self.kernel_size), repeat=len(self.image_shape)):
            ends = (size + 2 * reach - self.kernel_size + 1 for size in self.image_shape)
            corners = zip(first, ends, strict=True)
            window = (slice(at, at + size, self.stride) for at, size in corners)
            shifted.append(images[(slice(None), *window)])
        return jnp.stack(shifted, axis=-2).reshape(num * self.num_patches, -1)

    def assemble(self, images: Any, num: int) -> Any:
        """Images as rows [num, positions * fan_out]; average: [num, fan_out]."""
        return images.reshape(num, -1)

    def tile(self, bias: Any) -> Any:
        """Bias of every patch."""
        return bias if self.kernel_size is None else jnp.tile(bias, self.num_patches)
