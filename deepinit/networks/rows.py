"""Rows of a network: points, displacements from points to partners, tangents.

Vectors of moderate size times exponentials of log-scales: no underflow at depth 10 000, and an
angle of 1e-12 keeps its digits in float32. With b = bases_q,
    point_p     = exp(point_scale_p) * points_p
    partner_q   = exp(point_scale_b + partner_scale_q)
                  * (points_b + exp(displacement_scale_q) * displacements_q)
A free partner norm (positively homogeneous activation, no bias) is rescaled, in `partner_scale`, to
a displacement orthogonal to the base. Otherwise a part |b| / |a| - 1 along the base does not decay
with the angle and buries the orthogonal part in rounding. Frames of tangents are orthonormalized
after each layer; `log_norm_growths` sums logs of Gram-Schmidt norms: ln |J u_1| first, and in total
the log volume.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.array_api import array_namespace

# Why a pair has no angle at a layer: collinear images, a zero image, overflow or NaN.
FINE, COLLINEAR, DEAD, NOT_FINITE = 0, 1, 2, 3
EVENTS = {"collinear": COLLINEAR, "dead": DEAD, "not_finite": NOT_FINITE}


class InnerProducts(NamedTuple):
    """|a|^2; a.d / |a|^2 (0 where a is 0) and |r|^2, r = d - (a.d / |a|^2) a,
    of points a and displacements d.
    """

    point_norm2: Any
    parallel: Any
    residual_norm2: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one layer (scales, natural logarithms: module docstring).

    Attributes:
        points, displacements: [num_points, width], [num_pairs, width].
        point_scales, displacement_scales, partner_scales: the last two relative to the base;
            partner -inf for a dead free partner.
        events: of pairs: FINE, COLLINEAR, DEAD or NOT_FINITE.
        bases, frame_bases: point of each displacement and frame (static).
        cached: None once points or displacements change.
        tangents: [num_frames, d, width], orthonormal per frame.
        log_norm_growths: [num_frames, d]; -inf for a lost dimension.
        scale_invariant: partners may be rescaled (static).
    """

    points: Any
    displacements: Any
    point_scales: Any
    displacement_scales: Any
    partner_scales: Any
    events: Any
    bases: tuple[int, ...]
    cached: InnerProducts | None = None
    tangents: Any = None
    log_norm_growths: Any = None
    frame_bases: tuple[int, ...] = ()
    scale_invariant: bool = False

    @property
    def inner_products(self) -> InnerProducts:
        """Cached, else computed."""
        if self.cached is not None:
            return self.cached
        base, point_norm2 = self.of_bases(self.points), (self.points * self.points).sum(axis=1)
        parallel = (base * self.displacements).sum(axis=1) / nonzero(self.of_bases(point_norm2))
        residual = self.displacements - parallel[:, None] * base
        return InnerProducts(point_norm2, parallel, (residual * residual).sum(axis=1))

    def with_inner_products(self) -> "Rows":
        """Rows with cached inner products."""
        return dataclasses.replace(self, cached=self.inner_products)

    @property
    def stacked(self) -> Any:
        """Points, displacements, tangents [num, width]: argument of linear maps."""
        rows = [self.points]
        if self.bases:
            rows.append(self.displacements)
        if self.tangents is not None:
            rows.append(self.tangents.reshape(-1, self.tangents.shape[-1]))
        return array_namespace(self.points).concatenate(rows) if len(rows) > 1 else self.points

    def of_bases(self, values: Any) -> Any:
        """Values of points at displacements' bases."""
        return _taken(values, self.bases)

    def of_frame_bases(self, values: Any) -> Any:
        """Values of points at frames' points."""
        return _taken(values, self.frame_bases)

    def with_rows(self, stacked: Any, *, points_shift: Any = None) -> "Rows":
        """`stacked` rows of any width at the same scales, points plus `points_shift`."""
        num_points, num_pairs = self.points.shape[0], len(self.bases)
        points = stacked[:num_points]
        if points_shift is not None:
            points = points + points_shift
        displacements, tangents = stacked[num_points : num_points + num_pairs], None
        if self.tangents is not None:
            tangents = stacked[num_points + num_pairs :].reshape(*self.tangents.shape[:2], -1)
        return dataclasses.replace(
            self, points=points, displacements=displacements, tangents=tangents, cached=None
        )

    def plus(self, branch: "Rows") -> "Rows":
        """Stream plus branch, at the stream's scales."""
        # the branch may be traced where the stream is still the inputs, constants on the host
        xp = array_namespace(branch.points)
        size = xp.exp(branch.point_scales - self.point_scales)[:, None]
        step = xp.exp(branch.displacement_scales - self.displacement_scales)[:, None]
        step = step * self.of_bases(size)
        tangents = self.tangents
        if tangents is not None:
            growth = xp.where(
                xp.isfinite(self.log_norm_growths),
                branch.log_norm_growths - self.log_norm_growths,
                0,
            )
            tangents = tangents + xp.exp(growth)[..., None] * branch.tangents
        return dataclasses.replace(
            self,
            points=self.points + size * branch.points,
            displacements=self.displacements + step * branch.displacements,
            tangents=tangents,
            cached=None,
        )


def register_rows() -> None:
    """Register Rows with JAX."""
    import jax

    static = ["bases", "frame_bases", "scale_invariant"]
    data = [field.name for field in dataclasses.fields(Rows) if field.name not in static]
    jax.tree_util.register_dataclass(Rows, data_fields=data, meta_fields=static)


def frames_at(points: Any, tangents: Any) -> Rows:
    """Rows of points [num_points, width] with orthonormal frames [num_points, d, width]."""
    xp = array_namespace(points)
    bases = tuple(range(len(points)))
    return dataclasses.replace(
        points_alone(points),
        tangents=tangents,
        log_norm_growths=xp.zeros(tangents.shape[:2], tangents.dtype),
        frame_bases=bases,
    )


def points_alone(points: Any) -> Rows:
    """Rows of points [num_points, width] at scale 1."""
    xp = array_namespace(points)
    none, events = xp.zeros((0,), points.dtype), xp.zeros((0,), xp.int8)
    return Rows(points, points[:0], xp.zeros_like(points[:, 0]), none, none, events, ())


def _taken(values: Any, indices: tuple[int, ...]) -> Any:
    if indices == tuple(range(len(values))):
        return values
    if len(values) == 1:
        return array_namespace(values).broadcast_to(values, (len(indices), *values.shape[1:]))
    return values[np.asarray(indices, np.int32)]


def unit_scales(rows: Rows) -> np.ndarray:
    """Log-scales 0 as constants, which rules see at tracing (`at_true_size`)."""
    return np.zeros(len(rows.points), rows.points.dtype)


_CONSTANTS = ("point_scales", "events")  # zeros that rules see at tracing


def without_constants(rows: Rows) -> Rows:
    """Rows as arguments of a program: zeros that rules see are left out (None)."""
    zeros: dict[str, Any] = {name: None for name in _CONSTANTS if not np.any(getattr(rows, name))}
    return dataclasses.replace(rows, **zeros)


def with_constants(rows: Rows) -> Rows:
    """Inverse of `without_constants`, inside the program."""
    if rows.point_scales is None:
        rows = dataclasses.replace(rows, point_scales=unit_scales(rows))
    if rows.events is None:
        rows = dataclasses.replace(rows, events=np.zeros(len(rows.bases), np.int8))
    return rows


_LARGEST_RATIO = 35.0  # logarithm; squares of exp(35) stay in float32


def lifted(rows: Rows) -> Rows:
    """Rows whose point scales are at least -35, to which rows of scale 0 can be added."""
    xp = array_namespace(rows.points)
    scales = xp.maximum(rows.point_scales, -_LARGEST_RATIO)
    shrink = xp.exp(rows.point_scales - scales)[:, None]
    return dataclasses.replace(
        rows,
        points=shrink * rows.points,
        displacements=rows.of_bases(shrink) * rows.displacements,
        point_scales=scales,
        cached=None,
    )


def at_true_size(rows: Rows) -> bool:
    """Whether point scales are constants 0: after a norm, until a random sum of scales."""
    return isinstance(rows.point_scales, np.ndarray) and not rows.point_scales.any()


def nonzero(values: Any) -> Any:
    """Zeros replaced by 1, for a divisor."""
    xp = array_namespace(values)
    return xp.where(values == 0, xp.ones_like(values), values)
