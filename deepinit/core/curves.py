"""Curves in input space: segments and circular arcs, exact or sampled.

`basis(t) @ coefficients`, basis (1, t) or (1, cos t, sin t): ReLU networks preserve this form on
pieces without a switching unit.
"""

import dataclasses
import hashlib
import math
from typing import Any, Literal

import numpy as np

from deepinit.core import validate
from deepinit.core.array_api import array_namespace
from deepinit.core.errors import SpecError
from deepinit.core.inputs import checked_seed, images
from deepinit.core.reproducible import dot, norm
from deepinit.core.typing import Array, Float, Like, Plain, Real

Kind = Literal["line", "circle"]
Method = Literal["tangents", "polygon"]


@dataclasses.dataclass(frozen=True, eq=False)
class Curve:
    """Curve of constant speed.

    Attributes:
        kind: `line` or `circle`.
        coefficients: float64 [2, dimension] (point at t = 0, velocity) or [3, dimension] (centre,
            two orthogonal radii of equal length).
        start, stop: of t, increasing; radians for a circle.
    """

    kind: Kind
    coefficients: np.ndarray
    start: float
    stop: float
    label: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.label}; in dimension {self.dimension})"

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.coefficients.shape[1]

    @property
    def speed(self) -> float:
        """|d gamma / dt|."""
        return float(np.linalg.norm(self.coefficients[1]))

    @property
    def length(self) -> float:
        """Length in input space."""
        return self.speed * (self.stop - self.start)

    @property
    def is_closed(self) -> bool:
        """Whether a full circle."""
        return self.kind == "circle" and math.isclose(self.stop - self.start, 2.0 * math.pi)

    @property
    def digest(self) -> str:
        """SHA-256 for a run's identity."""
        numbers = np.concatenate([self.coefficients.ravel(), [self.start, self.stop]])
        return hashlib.sha256(
            f"{self.kind} {self.coefficients.shape}".encode() + numbers.astype("<f8").tobytes()
        ).hexdigest()

    @property
    def meets_origin(self) -> bool:
        """Whether it meets 0 to rounding: all bias-free units switch there."""
        return self.distance_to_origin() <= 1e-12 * float(np.abs(self.coefficients).max())

    def distance_to_origin(self) -> float:
        """Least norm along the curve."""
        if self.kind == "line":
            point, velocity = self.coefficients
            nearest = np.clip(-point @ velocity / (velocity @ velocity), self.start, self.stop)
            return float(np.linalg.norm(self.points(np.array([nearest]))))
        centre, first, second = self.coefficients
        # |c + r(t)|^2 is least where r(t) points against c; at the ends if that is not on the arc
        nearest = math.atan2(-centre @ second, -centre @ first)
        whole_turns = 2.0 * math.pi * round(self.start / (2.0 * math.pi))
        turns = np.arange(-2, 3) * 2.0 * math.pi + nearest + whole_turns
        candidates = [self.start, self.stop, *(t for t in turns if self.start <= t <= self.stop)]
        return float(np.linalg.norm(self.points(np.array(candidates)), axis=1).min())

    def points(self, t: Real[Like, "*shape"]) -> Float[Like, "*shape dimension"]:
        """gamma(t) [num_nodes, dimension], NumPy or JAX."""
        xp = array_namespace(t)
        one = xp.ones_like(t)
        basis = [one, t] if self.kind == "line" else [one, xp.cos(t), xp.sin(t)]
        return _combine(xp, basis, self.coefficients)

    def tangents(self, t: Real[Like, "*shape"]) -> Float[Like, "*shape dimension"]:
        """d gamma / dt [num_nodes, dimension]."""
        xp = array_namespace(t)
        basis = [xp.ones_like(t)] if self.kind == "line" else [-xp.sin(t), xp.cos(t)]
        return _combine(xp, basis, self.coefficients[1:])


@dataclasses.dataclass(frozen=True, eq=False)
class SampledCurve:
    """Nodes of a curve as rows of a network: `num_nodes` pieces of equal length.

    `method`: `tangents`, at a random node per piece and network (unbiased mean length); `polygon`,
    chords (biased low).
    """

    curve: Curve
    num_nodes: int
    method: Method

    @property
    def dimension(self) -> int:
        """Input dimension."""
        return self.curve.dimension

    @property
    def num_rows(self) -> int:
        """Rows: a point and a tangent or chord per piece."""
        return 2 * self.num_nodes

    def __repr__(self) -> str:
        return f"SampledCurve({self.label})"

    @property
    def label(self) -> str:
        """Label of curve and method."""
        method = "random tangents" if self.method == "tangents" else "chords"
        return f"{self.curve.label}, {self.num_nodes} {method}"

    @property
    def entries(self) -> tuple[str, ...]:
        """Names along a measurement's last axis."""
        return (self.curve.label,)

    @property
    def digest(self) -> str:
        """SHA-256 for a run's identity."""
        text = f"{self.curve.digest} {self.num_nodes} {self.method}"
        return hashlib.sha256(text.encode()).hexdigest()


def sampled(curve: Curve, num_nodes: int = 32, *, method: Method = "tangents") -> SampledCurve:
    """Curve cut into `num_nodes` equal pieces, for `di.simulate`.

    `method`: `tangents` (unbiased) or `polygon` (low by 2 depth / (3 num_nodes) for a circle
    through a bias-free ReLU network).
    """
    validate.instance("curve", curve, Curve, "a curve", "Write di.curves.circle().")
    num_nodes = validate.integer("num_nodes", num_nodes, 1, "32 are enough for most curves.")
    remedy = "Leave it out for 'tangents'."
    method = validate.choice("method", method, ("tangents", "polygon"), remedy)  # type: ignore
    return SampledCurve(curve, num_nodes, method)


def _combine(xp: Any, basis: list[Any], coefficients: np.ndarray) -> Any:
    """sum_i basis_i(t) coefficient_i in full precision on any device: no matrix product."""
    terms = [
        values[:, None] * xp.asarray(row, values.dtype)
        for values, row in zip(basis, coefficients, strict=True)
    ]
    return sum(terms[1:], terms[0])


def line(
    start: Real[Array, "dimension"] | Plain,
    end: Real[Array, "dimension"] | Plain,
    label: str | None = None,
) -> Curve:
    """Segment between two points, t in [0, 1].

    Raises SpecError: zero length, unequal shapes, not finite.
    """
    start, end = _point("start", start), _point("end", end)
    _check_dimensions(start, end)
    velocity = end - start
    if not np.any(velocity):
        remedy = "A constant curve has no length."
        raise SpecError("a line from a point to itself", "two different points", remedy)
    label = label or f"line in dimension {len(start)}"
    return _checked(Curve("line", np.stack([start, velocity]), 0.0, 1.0, label))


def circle(dimension: int = 2, radius: float = 1.0) -> Curve:
    """Circle about 0 in the first two axes, t in [0, 2 pi]."""
    dimension = validate.integer("dimension", dimension, 2, "A circle needs a plane.")
    radius = validate.positive("radius", radius, "Leave it out for the unit circle.")
    coefficients = np.zeros((3, dimension))
    coefficients[1, 0] = coefficients[2, 1] = radius
    return _full_circle(coefficients, f"circle of radius {radius:g}")


def circle_through(
    first: Real[Array, "dimension"] | Plain,
    second: Real[Array, "dimension"] | Plain,
    third: Real[Array, "dimension"] | Plain,
    label: str | None = None,
) -> Curve:
    """Circle through three points, starting at the first.

    Raises SpecError: collinear or equal points, unequal shapes, not finite.
    """
    a, b, c = _point("first", first), _point("second", second), _point("third", third)
    _check_dimensions(a, b, c)
    if len(a) < 2:
        raise SpecError("points of dimension 1", "dimension 2 or more", "A circle needs a plane.")
    u, v = b - a, c - a
    uu, uv, vv = dot(u, u), dot(u, v), dot(v, v)
    gram = uu * vv - uv * uv
    if not gram > 1e-12 * uu * vv:
        remedy = "Take another point, or a line."
        raise SpecError("three points on one line", "points that span a plane", remedy)
    # centre = a + p u + q v with |centre - a| = |centre - b| = |centre - c|
    p, q = 0.5 * vv * (uu - uv) / gram, 0.5 * uu * (vv - uv) / gram
    to_first = -(p * u + q * v)
    radius = norm(to_first)
    # the direction of the other point farther from the diameter through the first
    in_plane = max((w - dot(w, to_first) / radius**2 * to_first for w in (v, u)), key=norm)
    coefficients = np.stack([a - to_first, to_first, in_plane * (radius / norm(in_plane))])
    return _full_circle(coefficients, label or "circle through three points")


def _full_circle(coefficients: np.ndarray, label: str) -> Curve:
    return _checked(Curve("circle", coefficients, 0.0, 2.0 * math.pi, label))


def image_line(seed: int = 0) -> Curve:
    """Segment between MNIST digits of different classes (pixels / 255)."""
    pixels, names = _digits(2, seed)
    return line(pixels[0], pixels[1], f"line between the digits {names[0]} and {names[1]}")


def image_circle(seed: int = 0) -> Curve:
    """Circle through three MNIST digits of different classes (pixels / 255)."""
    pixels, names = _digits(3, seed)
    label = f"circle through the digits {', '.join(map(str, names))}"
    return circle_through(pixels[0], pixels[1], pixels[2], label)


def _digits(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(checked_seed(seed))
    pixels, labels = images()
    classes = rng.choice(10, size=count, replace=False)
    chosen = [int(rng.choice(np.flatnonzero(labels == digit))) for digit in classes]
    return pixels[chosen], [int(digit) for digit in classes]


def _point(name: str, given: Any) -> np.ndarray:
    point = validate.real_numbers(given)
    if point is None or point.ndim != 1 or not point.size or not np.isfinite(point).all():
        shape = f"{name} of {validate.shape_text(given)} or not finite"
        raise SpecError(shape, "one point [dimension] of finite numbers", "Give one row.")
    return point


def _check_dimensions(*points: np.ndarray) -> None:
    sizes = ", ".join(str(len(point)) for point in points)
    given = f"points of dimensions {sizes}"
    same = len({len(point) for point in points}) == 1
    validate.require(same, given, "points of one dimension", "Pad or cut them.")


def _checked(curve: Curve) -> Curve:
    if not (np.isfinite(curve.coefficients).all() and 0.0 < curve.length < math.inf):
        given = "a curve whose length overflows or vanishes"
        raise SpecError(given, "a finite length > 0", "Rescale its points.")
    return curve
