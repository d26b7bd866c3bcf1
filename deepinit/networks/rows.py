"""Rows that travel through a network together: points, displacements from points to their partners, tangents at points.

Every row is stored as a vector of moderate size times the exponential of a log-scale, so that nothing underflows at
depth 10 000 and an angle of 1e-12 keeps its digits in float32:

    point_p     = exp(point_scale_p) * points_p
    partner_q   = exp(point_scale_b + partner_scale_q) * (points_b + exp(displacement_scale_q) * displacements_q)

with b = bases_q. `partner_scale` is used where the norm of the partner is free (positively homogeneous activation, no
bias): the partner is then rescaled after every layer so that its displacement is orthogonal to the base. Without
that the displacement keeps a part parallel to its base, |b| / |a| - 1, which does not decay with the angle and would
bury the small orthogonal part in rounding errors.

Tangents come in frames of d at one point. After every layer a frame is made orthonormal again, and the logarithms of
what Gram-Schmidt divides by are added up in `log_stretches`: the first is ln |J u_1|, the first d add up to the logarithm of
the volume that J makes of the frame. So neither lengths nor volumes under- or overflow, and a frame never degenerates.

Sums over neurons cost as much as the rest of a layer, so the few that everything needs are taken once, after the
activation (`InnerProducts`), and follow the rows through rescaling by formula.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.array_api import array_namespace, without_slopes
from deepinit.core.errors import SpecError
from deepinit.core.inputs import Inputs

# Why a pair has no angle at a layer. `NOT_FINITE` covers overflow and NaN.
FINE, COLLINEAR, DEAD, NOT_FINITE = 0, 1, 2, 3
EVENTS = {"collinear": COLLINEAR, "dead": DEAD, "not_finite": NOT_FINITE}


class InnerProducts(NamedTuple):
    """Of points a and displacements d: with r = d - (a.d / |a|^2) a, the part of d orthogonal to its base, nothing cancels.

    Attributes:
        point_norm2: [num_points], |a|^2.
        parallel: [num_pairs], a.d / |a|^2; 0 where a is 0.
        residual_norm2: [num_pairs], |r|^2.
    """

    point_norm2: Any
    parallel: Any
    residual_norm2: Any


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """A stack of rows of one layer (see the module's docstring for the scales).

    Attributes:
        points: [num_points, width].
        displacements: [num_pairs, width].
        point_scales: [num_points], natural logarithms.
        displacement_scales: [num_pairs], relative to the base.
        partner_scales: [num_pairs], relative to the base; -inf where a free partner is dead.
        events: [num_pairs] int8: FINE, COLLINEAR, DEAD or NOT_FINITE.
        bases: for each displacement the index of its point (static).
        tangents: [num_frames, d, width], orthonormal in each frame; or None.
        log_stretches: [num_frames, d]; -inf from where a frame has lost its dimension; or None.
        frame_bases: for each frame the index of its point (static).
        partners_are_free: may partners be rescaled (a positively homogeneous network)? (static)
        known: inner products of the rows where they are known. Whoever replaces points or displacements replaces this
            too, or sets it to None.
    """

    points: Any
    displacements: Any
    point_scales: Any
    displacement_scales: Any
    partner_scales: Any
    events: Any
    bases: tuple[int, ...]
    known: InnerProducts | None = None
    tangents: Any = None
    log_stretches: Any = None
    frame_bases: tuple[int, ...] = ()
    partners_are_free: bool = False

    @property
    def inner_products(self) -> InnerProducts:
        """The known inner products; computed where there are none."""
        if self.known is not None:
            return self.known
        base, point_norm2 = self.of_bases(self.points), _sum(self.points * self.points)
        parallel = _sum(base * self.displacements) / _safe(self.of_bases(point_norm2))
        residual = self.displacements - parallel[:, None] * base
        return InnerProducts(point_norm2, parallel, _sum(residual * residual))

    def with_known(self) -> "Rows":
        """The same rows, with their inner products."""
        return dataclasses.replace(self, known=self.inner_products)

    @property
    def stacked(self) -> Any:
        """[num_points + num_pairs + num_tangents, width]: what a linear map acts on."""
        rows = [self.points]
        if self.bases:
            rows.append(self.displacements)
        if self.tangents is not None:
            rows.append(self.tangents.reshape(-1, self.tangents.shape[-1]))
        return array_namespace(self.points).concatenate(rows) if len(rows) > 1 else self.points

    def of_bases(self, values: Any) -> Any:
        """[num_pairs, ...]: the entries of [num_points, ...] at every displacement's base."""
        return _taken(values, self.bases)

    def of_frame_bases(self, values: Any) -> Any:
        """[num_frames, ...]: the entries of [num_points, ...] at every frame's point."""
        return _taken(values, self.frame_bases)

    def with_rows(self, stacked: Any, *, points_shift: Any = None) -> "Rows":
        """The same scales with new rows (as `stacked`, of another width), points shifted by [num_points, new_width]."""
        num_points, num_pairs = self.points.shape[0], len(self.bases)
        points = (
            stacked[:num_points] if points_shift is None else stacked[:num_points] + points_shift
        )
        displacements, tangents = stacked[num_points : num_points + num_pairs], None
        if self.tangents is not None:
            tangents = stacked[num_points + num_pairs :].reshape(*self.tangents.shape[:2], -1)
        return dataclasses.replace(
            self, points=points, displacements=displacements, tangents=tangents, known=None
        )

    def plus(self, branch: "Rows") -> "Rows":
        """The sum of a stream and of the branch that was computed from it, at the stream's scales."""
        xp = array_namespace(
            branch.points
        )  # which may be traced where the stream is still the inputs, constants on the host
        size = xp.exp(branch.point_scales - self.point_scales)[:, None]
        step = xp.exp(branch.displacement_scales - self.displacement_scales)[
            :, None
        ] * self.of_bases(size)
        tangents = None if self.tangents is None else self.tangents + branch.tangents
        return dataclasses.replace(
            self,
            points=self.points + size * branch.points,
            displacements=self.displacements + step * branch.displacements,
            tangents=tangents,
            known=None,
        )


def register_rows() -> None:
    """Makes Rows a JAX pytree; called when `deepinit.networks` functions that trace are imported."""
    import jax

    static = ["bases", "frame_bases", "partners_are_free"]
    data = [field.name for field in dataclasses.fields(Rows) if field.name not in static]
    jax.tree_util.register_dataclass(Rows, data_fields=data, meta_fields=static)


def frames_at(points: Any, tangents: Any) -> Rows:
    """Rows of layer 0: points [num_points, width], each with an orthonormal frame of tangents [num_points, d, width]."""
    xp = array_namespace(points)
    bases = tuple(range(len(points)))
    return dataclasses.replace(
        points_alone(points),
        tangents=tangents,
        log_stretches=xp.zeros(tangents.shape[:2], tangents.dtype),
        frame_bases=bases,
    )


def points_alone(points: Any) -> Rows:
    """Rows without displacements, [num_points, width], as they are: scale 1."""
    xp = array_namespace(points)
    none = xp.zeros((0,), points.dtype)
    return Rows(
        points, points[:0], xp.zeros_like(points[:, 0]), none, none, xp.zeros((0,), xp.int8), ()
    )


def rows_from_inputs(inputs: Inputs, *, partners_are_free: bool, dtype: Any) -> Rows:
    """Rows of layer 0: rescaled in float64 on the host, then cast.

    Raises:
        SpecError: rows too small or too large for their squares to be computed in the dtype (in float64 where partners
            are free, since the scale then never enters the cast).
    """
    _check_sizes(inputs, "float64" if partners_are_free else np.dtype(dtype).name)
    num_points, num_pairs = len(inputs.points), inputs.num_pairs
    rows = Rows(
        points=inputs.points,
        displacements=inputs.displacements,
        point_scales=np.zeros(num_points),
        displacement_scales=np.zeros(num_pairs),
        partner_scales=np.zeros(num_pairs),
        events=np.zeros(num_pairs, np.int8),
        bases=inputs.bases,
        partners_are_free=partners_are_free,
    ).with_known()
    with np.errstate(divide="ignore", invalid="ignore"):
        if partners_are_free:
            rows = orthogonalize_partners(rows)
        rows = rescale(rows, rescale_points=partners_are_free).with_known()
    _check_ratios(rows, np.dtype(dtype).name)
    assert rows.known is not None
    names = ("points", "displacements", "point_scales", "displacement_scales", "partner_scales")
    cast: dict[str, Any] = {name: np.asarray(getattr(rows, name), dtype) for name in names}
    known = InnerProducts(*(np.asarray(values, dtype) for values in rows.known))
    return dataclasses.replace(rows, **cast, known=known)


def _check_sizes(inputs: Inputs, dtype: str) -> None:
    """Refuses rows whose squares leave the range of the dtype; a displacement's own length is kept as a logarithm."""
    limits, host = np.finfo(dtype), np.finfo(np.float64)
    check_points(inputs.points, dtype)
    _check_size(
        "displacements", inputs.displacements, dtype, max(float(limits.tiny), _smallest(host))
    )


def check_points(points: np.ndarray, dtype: str) -> None:
    """Refuses points [num_points, width] whose squares leave the range of the dtype."""
    _check_size("points", points, dtype, _smallest(np.finfo(dtype)))


def _smallest(limits: Any) -> float:
    """A factor of 1/eps is left, so that parts of a row's square keep their digits beside the whole."""
    return float(np.sqrt(limits.tiny / limits.eps))


def _check_size(name: str, rows: np.ndarray, dtype: str, least: float) -> None:
    limits = np.finfo(dtype)
    largest = float(np.sqrt(limits.max * limits.eps))  # the same factor as for the smallest
    size = np.abs(rows).max(
        axis=1, initial=0.0
    )  # the largest coordinate: squares could already overflow here
    wrong = (size > largest) | ((size > 0) & (size < least))
    if np.any(wrong):
        other = ", or take dtype='float64'" if dtype == "float32" else ""
        raise SpecError(
            f"{name} of size {size[wrong][0]:.2g} in {dtype}",
            f"0, or sizes from {least:.2g} to {largest:.2g}",
            f"Rescale the inputs{other}.",
        )


def _check_ratios(rows: Rows, dtype: str) -> None:
    """Refuses displacements so much longer than their base that the square of the ratio leaves the dtype's range."""
    limits = np.finfo(dtype)
    largest = 0.5 * float(np.log(limits.max) + np.log(limits.eps))
    if np.any(rows.displacement_scales > largest):
        raise SpecError(
            f"a pair whose second member is 1e{np.max(rows.displacement_scales) / np.log(10.0):.0f} times the first",
            f"ratios up to {np.exp(largest):.2g} in {dtype}",
            "Give both members of a pair a similar norm.",
        )


def orthogonalize_partners(rows: Rows) -> Rows:
    """Rescales each partner so that its displacement is orthogonal to its base (only where partners are free).

    b -> kappa b with kappa = |a|^2 / (a.b), which leaves the residual of Gram-Schmidt as the displacement; where the
    two are too far from parallel for that (a.b < |a|^2 / 4), kappa = |a| / |b|, which equalizes the norms and leaves
    the component cos - 1 along the base.
    """
    xp = array_namespace(rows.points)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    base, base_norm2 = rows.of_bases(rows.points), _safe(rows.of_bases(point_norm2))
    scale = xp.exp(rows.displacement_scales)
    projection_less_1 = scale * parallel
    projection = 1 + projection_less_1
    small = projection > 0.25
    equal_norms = xp.sqrt(base_norm2 / _safe(partner_norm2(rows)))
    kappa = xp.where(small, 1 / xp.where(small, projection, 1), equal_norms)
    # -ln kappa, to relative accuracy for close pairs: their distance depends on it
    change = xp.where(small, xp.log1p(xp.where(small, projection_less_1, 0)), -xp.log(_safe(kappa)))
    # far pairs have displacements of the size of the base: scale is O(1) and may be divided by
    cosine, divisor = kappa * projection, xp.where(small, 1, scale)
    minus = (kappa * scale) ** 2 * residual_norm2 / base_norm2 / (1 + xp.maximum(cosine, 0))
    along = xp.where(small, 0, xp.where(cosine > 0, -minus, cosine - 1) / divisor)
    return dataclasses.replace(
        rows,
        displacements=kappa[:, None] * rows.displacements
        + (along - kappa * parallel)[:, None] * base,
        partner_scales=rows.partner_scales + change,
        known=InnerProducts(point_norm2, along, kappa**2 * residual_norm2),
    )


def rescale(rows: Rows, *, rescale_points: bool = True) -> Rows:
    """Moves the root mean square of every displacement, and of every point unless told otherwise, into its log-scale.

    What moves cancels in everything that is computed from rows and scales together, so that no derivative is taken through it: that would
    be 0 by terms that cancel, at several times the cost of all the others.
    """
    xp = array_namespace(rows.points)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    width = rows.points.shape[1]
    size = (
        xp.sqrt(_safe(point_norm2 / width)) if rescale_points else xp.ones_like(rows.point_scales)
    )
    length = xp.sqrt(_safe(displacement_norm2(rows) / width))
    size, length = without_slopes(size, length)
    base_size = rows.of_bases(size)
    return dataclasses.replace(
        rows,
        points=rows.points / size[:, None],
        displacements=rows.displacements / length[:, None],
        point_scales=rows.point_scales + xp.log(size),
        displacement_scales=rows.displacement_scales + xp.log(length) - xp.log(base_size),
        known=InnerProducts(
            point_norm2 / size**2, parallel * base_size / length, residual_norm2 / length**2
        ),
    )


def detect_events(rows: Rows, *, absorbing: bool) -> Rows:
    """Marks pairs without an angle: one image is zero, the images are collinear to rounding, or overflow.

    Where zero stays zero (homogeneous activation, no bias) an event is absorbing: the pair keeps its first event.
    """
    xp = array_namespace(rows.points)
    tolerance = 4.0 * float(xp.finfo(rows.points.dtype).eps)
    base_norm2, length2 = rows.of_bases(rows.inner_products.point_norm2), displacement_norm2(rows)
    partner_is_dead = partner_norm2(rows) <= tolerance**2 * base_norm2
    dead = (base_norm2 == 0) | partner_is_dead
    collinear = rows.inner_products.residual_norm2 <= tolerance**2 * length2
    finite = xp.isfinite(base_norm2) & xp.isfinite(length2)
    event = xp.where(
        finite, xp.where(dead, DEAD, xp.where(collinear, COLLINEAR, FINE)), NOT_FINITE
    ).astype(xp.int8)
    if not absorbing:
        return dataclasses.replace(rows, events=event)
    event = xp.where(rows.events != FINE, rows.events, event)
    # what is left of a dead partner is rounding, which would grow again relative to its base
    scales = xp.where(partner_is_dead & (base_norm2 > 0), -xp.inf, rows.partner_scales)
    return dataclasses.replace(rows, events=event, partner_scales=scales)


def displacement_norm2(rows: Rows) -> Any:
    """[num_pairs]: |d|^2 = (a.d)^2 / |a|^2 + |r|^2."""
    point_norm2, parallel, residual_norm2 = rows.inner_products
    return parallel**2 * rows.of_bases(point_norm2) + residual_norm2


def partner_norm2(rows: Rows) -> Any:
    """[num_pairs]: |a + s d|^2 = (1 + s a.d / |a|^2)^2 |a|^2 + s^2 |r|^2, in units of the base's scale."""
    point_norm2, parallel, residual_norm2 = rows.inner_products
    scale = array_namespace(rows.points).exp(rows.displacement_scales)
    return (1 + scale * parallel) ** 2 * rows.of_bases(point_norm2) + scale**2 * residual_norm2


def orthonormalize_frames(rows: Rows) -> Rows:
    """Gram-Schmidt in every frame, each vector projected twice; what it divides by goes into `log_stretches`.

    A vector that depends on the earlier ones to rounding spans no volume: its stretch is zero from then on.
    """
    if rows.tangents is None:
        return rows
    xp = array_namespace(rows.tangents)
    tolerance = 4.0 * float(xp.finfo(rows.tangents.dtype).eps)
    directions: list[Any] = []
    stretches = []
    for index in range(rows.tangents.shape[1]):
        vector = residual = rows.tangents[:, index]
        for _ in range(2 if directions else 0):
            for direction in directions:
                residual = residual - (residual * direction).sum(axis=1, keepdims=True) * direction
        size2, norm2 = (vector * vector).sum(axis=1), (residual * residual).sum(axis=1)
        lost = (norm2 <= tolerance**2 * size2) & xp.isfinite(
            size2
        )  # an overflow is no lost dimension
        norm = xp.where(lost, 0, xp.sqrt(norm2))
        directions.append(xp.where(norm[:, None] == 0, 0, residual / _safe(norm)[:, None]))
        stretches.append(xp.where(norm == 0, -xp.inf, xp.log(_safe(norm))))
    return dataclasses.replace(
        rows,
        tangents=xp.stack(directions, axis=1),
        log_stretches=rows.log_stretches + xp.stack(stretches, axis=1),
    )


def _taken(values: Any, indices: tuple[int, ...]) -> Any:
    if indices == tuple(range(len(values))):
        return values
    if len(values) == 1:
        return array_namespace(values).broadcast_to(values, (len(indices), *values.shape[1:]))
    return values[np.asarray(indices, np.int32)]


def _sum(values: Any) -> Any:
    return values.sum(axis=1)


def _safe(values: Any) -> Any:
    """Zero becomes one: a divisor that leaves a zero numerator zero."""
    xp = array_namespace(values)
    return xp.where(values == 0, xp.ones_like(values), values)
