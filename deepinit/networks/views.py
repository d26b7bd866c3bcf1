"""What a linear map sees of a row: all of it, the patch around every position of an image, or the average over positions.

Images are rows [positions * channels], positions first. A map on patches acts on one row for every position, and its images are put
together again; so one way of drawing linear maps serves convolutions, fully connected layers and pooled outputs.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from deepinit.core.patches import neighbours
from deepinit.core.specs import ConvResNet


class View(NamedTuple):
    """Static: of images with this many positions, the neighbours [positions, patch] of each (-1: zero), or None for the average."""

    positions: int
    neighbours: tuple[tuple[int, ...], ...] | None

    @property
    def patch_size(self) -> int:
        """Positions in what the map sees."""
        return 1 if self.neighbours is None else len(self.neighbours[0])

    def fan_in(self, width: int) -> int:
        """Numbers that the map sees of rows of this width."""
        return width // self.positions * self.patch_size

    def seen(self, rows: Any) -> Any:
        """[num, width] -> [num * positions, fan_in], or [num, channels] for the average."""
        images = rows.reshape(rows.shape[0], self.positions, -1)
        if self.neighbours is None:
            return jnp.mean(images, axis=1)
        beyond = jnp.zeros((images.shape[0], 1, images.shape[2]), images.dtype)
        patches = jnp.concatenate([images, beyond], axis=1)[:, np.asarray(self.neighbours)]
        return patches.reshape(rows.shape[0] * self.positions, -1)

    def put_together(self, images: Any, num: int) -> Any:
        """The map's images as rows again: [num, positions * fan_out], or [num, fan_out] for the average."""
        return images.reshape(num, -1)

    def of_bias(self, bias: Any) -> Any:
        """The bias of every position."""
        return bias if self.neighbours is None else jnp.tile(bias, self.positions)


def patches(spec: ConvResNet) -> View:
    """The patch around every position."""
    return View(spec.positions, neighbours(spec.image_shape, spec.kernel_size, spec.padding))


def pixels(spec: ConvResNet) -> View:
    """Every position by itself: a convolution of size 1."""
    return View(spec.positions, tuple((position,) for position in range(spec.positions)))


def average(spec: ConvResNet) -> View:
    """The average over positions."""
    return View(spec.positions, None)
