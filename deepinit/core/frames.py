"""Points with a frame of tangent vectors each, whose image a network stretches."""

import dataclasses
import hashlib
from typing import Any

import numpy as np

from deepinit.core import inputs, validate
from deepinit.core.errors import SpecError
from deepinit.core.reproducible import orthonormalized


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """Points of input space, each with an orthonormal frame of d tangent vectors.

    Attributes:
        points: [num_points, dimension] float64.
        tangents: [num_points, d, dimension] float64, orthonormal at each point.
        label: how figures and tables call them.
    """

    points: np.ndarray
    tangents: np.ndarray
    label: str

    @property
    def dimension(self) -> int:
        """Number of input coordinates."""
        return self.points.shape[1]

    @property
    def frame_size(self) -> int:
        """d, the number of tangent vectors at a point."""
        return self.tangents.shape[1]

    @property
    def num_rows(self) -> int:
        """Rows that travel through a network."""
        return len(self.points) * (1 + self.frame_size)

    @property
    def entries(self) -> tuple[str, ...]:
        """What the last axis of a measurement is called."""
        return tuple(f"point {number}" for number in range(1, len(self.points) + 1))

    @property
    def digest(self) -> str:
        """A hash of the numbers: part of a run's identity."""
        parts = (self.points, self.tangents)
        return hashlib.sha256(
            b"".join(repr(p.shape).encode() + p.astype("<f8").tobytes() for p in parts)
        ).hexdigest()


def at(points: Any, tangents: Any, label: str = "frames") -> Frames:
    """Frames that span the same tangent spaces as the given vectors.

    Args:
        points: [num_points, dimension], or one point [dimension].
        tangents: [num_points, d, dimension], or one frame [d, dimension], or one vector [dimension]. They are
            orthonormalized: stretch is measured per unit of volume.
        label: how figures and tables call them.

    Raises:
        SpecError: shapes that do not fit, not finite, a frame whose vectors are linearly dependent (zero included).
    """
    rows, vectors = (
        np.zeros(0) if array is None else array
        for array in map(validate.real_numbers, (points, tangents))
    )
    if rows.ndim == 1:
        rows, vectors = rows[None], (vectors[None, None] if vectors.ndim == 1 else vectors[None])
    fits = rows.ndim == 2 and vectors.ndim == 3 and rows.size and vectors.size
    if not (fits and vectors.shape[0] == len(rows) and vectors.shape[2] == rows.shape[1]):
        raise SpecError(
            f"points of {validate.shape_text(points)} with tangents of {validate.shape_text(tangents)}",
            "points [num_points, dimension] with tangents [num_points, d, dimension]",
            "Give every point a frame of d vectors.",
        )
    if not (np.isfinite(rows).all() and np.isfinite(vectors).all()):
        raise SpecError(
            "points or tangents that are not finite", "finite numbers", "Remove NaN and infinity."
        )
    size = vectors.shape[1]
    if size > rows.shape[1]:
        raise SpecError(
            f"{size} tangent vectors in dimension {rows.shape[1]}",
            "at most as many as dimensions",
            "Any more are linearly dependent, and span no volume.",
        )
    directions, shares = (
        np.stack(parts) for parts in zip(*map(orthonormalized, vectors), strict=True)
    )
    if not (shares > 1e-10).all():
        raise SpecError(
            "tangent vectors that are linearly dependent",
            "vectors that span d dimensions",
            "Drop one of them.",
        )
    return Frames(rows, directions, label)


def random(dimension: int, size: int = 1, *, num_points: int = 1, seed: int = 0) -> Frames:
    """Uniform points on the unit sphere, each with a uniform orthonormal frame of `size` vectors."""
    validate.integer("dimension", dimension, 1, "Give the width of the input.")
    validate.integer(
        "size", size, 1, "One vector measures length, two measure area.", most=dimension
    )
    validate.integer("num_points", num_points, 1, "Give at least one point.")
    validate.integer("seed", seed, 0, "Leave it out for seed 0.")
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((num_points, dimension))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    words = {1: "a tangent", 2: "a tangent plane"}.get(size, f"a tangent space of dimension {size}")
    return at(
        points,
        rng.standard_normal((num_points, size, dimension)),
        f"{num_points} random points with {words}, dimension {dimension}",
    )


def images(size: int = 1, *, seed: int = 0) -> Frames:
    """A real MNIST digit (pixels / 255) with the directions to `size` other digits."""
    validate.integer("size", size, 1, "One direction measures length, two measure area.", most=100)
    validate.integer("seed", seed, 0, "Leave it out for seed 0.")
    pixels, labels = inputs.images()
    chosen = np.random.default_rng(seed).choice(len(pixels), size=1 + size, replace=False)
    return at(
        pixels[chosen[0]],
        pixels[chosen[1:]] - pixels[chosen[0]],
        f"digit {labels[chosen[0]]}, directions to {size} others",
    )
