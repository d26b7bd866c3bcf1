"""Points with tangent frames, for volume growth."""

import dataclasses
import hashlib

import numpy as np

from deepinit.core import inputs, validate
from deepinit.core.errors import SpecError
from deepinit.core.reproducible import orthonormalized
from deepinit.core.typing import Array, Plain, Real

_SIZES = "One vector measures length, two measure area."


@dataclasses.dataclass(frozen=True, eq=False)
class Frames:
    """Points, each with an orthonormal frame of d tangents [num_points, d, dimension], float64."""

    points: np.ndarray
    tangents: np.ndarray
    label: str

    def __repr__(self) -> str:
        count = f"{len(self.points)} point{'s' * (len(self.points) != 1)}"
        tangents = f"{self.frame_size} tangent{'s' * (self.frame_size != 1)}"
        return f"Frames({self.label}; {count} with {tangents} in dimension {self.dimension})"

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.points.shape[1]

    @property
    def frame_size(self) -> int:
        """Tangent vectors per point, d."""
        return self.tangents.shape[1]

    @property
    def num_rows(self) -> int:
        """Rows through a network."""
        return len(self.points) * (1 + self.frame_size)

    @property
    def entries(self) -> tuple[str, ...]:
        """Names along a measurement's last axis."""
        return tuple(f"point {number}" for number in range(1, len(self.points) + 1))

    @property
    def digest(self) -> str:
        """SHA-256, for a run's identity."""
        parts = (self.points, self.tangents)
        return hashlib.sha256(
            b"".join(repr(p.shape).encode() + p.astype("<f8").tobytes() for p in parts)
        ).hexdigest()


def at(
    points: Real[Array, "*points dimension"] | Plain,
    tangents: Real[Array, "*tangents dimension"] | Plain,
    label: str = "frames",
) -> Frames:
    """Orthonormal frames of the spans of given vectors.

    Args:
        points: [num_points, dimension] or [dimension].
        tangents: [num_points, d, dimension], [d, dimension] or [dimension].

    Raises SpecError: mismatched shapes, not finite, linearly dependent vectors.
    """
    rows, vectors = (
        np.zeros(0) if array is None else array
        for array in map(validate.real_numbers, (points, tangents))
    )
    if rows.ndim == 1:
        rows, vectors = rows[None], (vectors[None, None] if vectors.ndim == 1 else vectors[None])
    fits = rows.ndim == 2 and vectors.ndim == 3 and rows.size and vectors.size
    if not (fits and vectors.shape[0] == len(rows) and vectors.shape[2] == rows.shape[1]):
        shapes = [validate.shape_text(array) for array in (points, tangents)]
        allowed = "points [num_points, dimension] with tangents [num_points, d, dimension]"
        raise SpecError(f"points of {shapes[0]} with tangents of {shapes[1]}", allowed)
    finite = np.isfinite(rows).all() and np.isfinite(vectors).all()
    given, remedy = "points or tangents that are not finite", "Remove NaN and infinity."
    validate.require(finite, given, "finite numbers", remedy)
    size, dimension = vectors.shape[1:]
    given = f"{size} tangent vectors in dimension {dimension}"
    validate.require(size <= dimension, given, "at most as many as dimensions")
    frames = [orthonormalized(np.asarray(frame)) for frame in vectors]
    independent = all((shares > 1e-10).all() for _, shares in frames)
    given = "tangent vectors that are linearly dependent"
    validate.require(independent, given, "vectors that span d dimensions", "Drop one of them.")
    return Frames(rows, np.stack([directions for directions, _ in frames]), label)


def random(dimension: int, size: int = 1, *, num_points: int = 1, seed: int = 0) -> Frames:
    """Uniform points on the unit sphere with uniform orthonormal frames."""
    validate.integer("dimension", dimension, 1, "Give the width of the input.")
    validate.integer("size", size, 1, _SIZES, most=dimension)
    validate.integer("num_points", num_points, 1, "Give at least one point.")
    rng = np.random.default_rng(inputs.checked_seed(seed))
    points = rng.standard_normal((num_points, dimension))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    space = {1: "a tangent", 2: "a tangent plane"}.get(size, f"a tangent space of dimension {size}")
    label = f"{num_points} random points with {space}, dimension {dimension}"
    return at(points, rng.standard_normal((num_points, size, dimension)), label)


def images(size: int = 1, *, seed: int = 0) -> Frames:
    """MNIST digit (pixels / 255) with the directions to `size` other digits."""
    validate.integer("size", size, 1, _SIZES, most=100)
    rng = np.random.default_rng(inputs.checked_seed(seed))
    pixels, labels = inputs.images()
    first, *others = rng.choice(len(pixels), size=1 + size, replace=False)
    label = f"digit {labels[first]}, directions to {size} others"
    return at(pixels[first], pixels[others] - pixels[first], label)
