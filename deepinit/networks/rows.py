"""Rows that travel through a network together: points, and displacements from points to their partners.

Every row is stored as a vector of moderate size times the exponential of a log-scale, so that nothing underflows at
depth 10 000 and an angle of 1e-12 keeps its digits in float32:

    point_p     = exp(point_scale_p) * points_p
    partner_q   = exp(point_scale_b + partner_scale_q) * (points_b + exp(displacement_scale_q) * displacements_q)

with b = bases_q. `partner_scale` is used where the norm of the partner is free (positively homogeneous activation, no
bias): the partner is then rescaled after every layer so that its displacement is orthogonal to the base. Without
that the displacement keeps a part parallel to its base, |b| / |a| - 1, which does not decay with the angle and would
bury the small orthogonal part in rounding errors.
"""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core.inputs import Inputs
from deepinit.core.namespace import array_namespace

# Why a pair has no angle at a layer. `NOT_FINITE` covers overflow and NaN.
FINE, COLLINEAR, DEAD, NOT_FINITE = 0, 1, 2, 3
EVENTS = {"collinear": COLLINEAR, "dead": DEAD, "not_finite": NOT_FINITE}


@dataclasses.dataclass(frozen=True, eq=False)
class Rows:
    """A stack of rows of one layer (see the module's docstring for the scales).

    Attributes:
        points: [num_points, width].
        displacements: [num_pairs, width].
        point_scales: [num_points], natural logarithms.
        displacement_scales: [num_pairs], relative to the base.
        partner_scales: [num_pairs], relative to the base.
        events: [num_pairs] int8: FINE, COLLINEAR, DEAD or NOT_FINITE.
        bases: for each displacement the index of its point (static).
    """

    points: Any
    displacements: Any
    point_scales: Any
    displacement_scales: Any
    partner_scales: Any
    events: Any
    bases: tuple[int, ...]

    @property
    def stacked(self) -> Any:
        """[num_points + num_pairs, width]: what a linear map acts on."""
        return array_namespace(self.points).concatenate([self.points, self.displacements])

    def of_bases(self, values: Any) -> Any:
        """[num_pairs, ...]: the entries of [num_points, ...] at every displacement's base."""
        if self.bases == tuple(range(len(values))):
            return values
        if len(values) == 1:
            return array_namespace(values).broadcast_to(values, (len(self.bases), *values.shape[1:]))
        return values[np.asarray(self.bases, np.int32)]

    def with_rows(self, stacked: Any, *, points_shift: Any = None) -> "Rows":
        """The same scales with new rows [num_points + num_pairs, new_width], points shifted by [num_points, new_width]."""
        num_points = self.points.shape[0]
        points = stacked[:num_points] if points_shift is None else stacked[:num_points] + points_shift
        return dataclasses.replace(self, points=points, displacements=stacked[num_points:])


def register_rows() -> None:
    """Makes Rows a JAX pytree; called when `deepinit.networks` functions that trace are imported."""
    import jax

    data = [field.name for field in dataclasses.fields(Rows) if field.name != "bases"]
    jax.tree_util.register_dataclass(Rows, data_fields=data, meta_fields=["bases"])


def rows_from_inputs(inputs: Inputs, *, partners_are_free: bool, dtype: Any) -> Rows:
    """Rows of layer 0: rescaled in float64 on the host, then cast."""
    num_points, num_pairs = len(inputs.points), inputs.num_pairs
    rows = Rows(
        points=inputs.points,
        displacements=inputs.displacements,
        point_scales=np.zeros(num_points),
        displacement_scales=np.zeros(num_pairs),
        partner_scales=np.zeros(num_pairs),
        events=np.zeros(num_pairs, np.int8),
        bases=inputs.bases,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        if partners_are_free:
            rows = orthogonalize_partners(rows)
        rows = rescale(rows, rescale_points=partners_are_free)
    names = ("points", "displacements", "point_scales", "displacement_scales", "partner_scales")
    cast: dict[str, Any] = {name: np.asarray(getattr(rows, name), dtype) for name in names}
    return dataclasses.replace(rows, **cast)


def orthogonalize_partners(rows: Rows) -> Rows:
    """Rescales each partner so that its displacement is orthogonal to its base (only where partners are free).

    b -> kappa b with kappa = |a|^2 / (a.b), which leaves the residual of Gram-Schmidt as the displacement; where the
    two are too far from parallel for that (a.b < |a|^2 / 4), kappa = |a| / |b|, which equalizes the norms.
    """
    xp = array_namespace(rows.points)
    base = rows.of_bases(rows.points)
    scale = xp.exp(rows.displacement_scales)
    base_norm2 = _sum(base * base)
    parallel = _sum(base * rows.displacements) / _safe(base_norm2)
    residual = rows.displacements - parallel[:, None] * base
    projection = 1 + scale * parallel
    partner = base + scale[:, None] * rows.displacements
    equal_norms = xp.sqrt(base_norm2 / _safe(_sum(partner * partner)))
    small = projection > 0.25
    kappa = xp.where(small, 1 / xp.where(small, projection, 1), equal_norms)
    # far pairs have displacements of the size of the base: scale is O(1) and may be divided by
    far = (kappa[:, None] * partner - base) / xp.where(small, 1, scale)[:, None]
    return dataclasses.replace(
        rows,
        displacements=xp.where(small[:, None], kappa[:, None] * residual, far),
        partner_scales=rows.partner_scales - xp.log(_safe(kappa)),
    )


def rescale(rows: Rows, *, rescale_points: bool) -> Rows:
    """Moves the root mean square of every displacement, and of every point if asked, into its log-scale."""
    xp = array_namespace(rows.points)
    if rescale_points:
        size = xp.sqrt(_safe(xp.mean(rows.points * rows.points, axis=1)))
    else:
        size = xp.ones_like(rows.point_scales)
    length = xp.sqrt(_safe(xp.mean(rows.displacements * rows.displacements, axis=1)))
    return dataclasses.replace(
        rows,
        points=rows.points / size[:, None],
        displacements=rows.displacements / length[:, None],
        point_scales=rows.point_scales + xp.log(size),
        displacement_scales=rows.displacement_scales + xp.log(length) - xp.log(rows.of_bases(size)),
    )


def detect_events(rows: Rows, *, absorbing: bool) -> Rows:
    """Marks pairs without an angle: one image is zero, the images are collinear to rounding, or overflow.

    Where zero stays zero (homogeneous activation, no bias) an event is absorbing: the pair keeps its first event.
    """
    xp = array_namespace(rows.points)
    tolerance = 4.0 * float(xp.finfo(rows.points.dtype).eps)
    base = rows.of_bases(rows.points)
    base_norm2 = _sum(base * base)
    partner = base + xp.exp(rows.displacement_scales)[:, None] * rows.displacements
    parallel = _sum(base * rows.displacements) / _safe(base_norm2)
    residual = rows.displacements - parallel[:, None] * base
    dead = (base_norm2 == 0) | (_sum(partner * partner) <= tolerance**2 * base_norm2)
    collinear = _sum(residual * residual) <= tolerance**2 * _sum(rows.displacements * rows.displacements)
    finite = xp.isfinite(base_norm2) & xp.isfinite(_sum(rows.displacements * rows.displacements))
    event = xp.where(finite, xp.where(dead, DEAD, xp.where(collinear, COLLINEAR, FINE)), NOT_FINITE).astype(xp.int8)
    if absorbing:
        event = xp.where(rows.events != FINE, rows.events, event)
    return dataclasses.replace(rows, events=event)


def _sum(values: Any) -> Any:
    return values.sum(axis=1)


def _safe(values: Any) -> Any:
    """Zero becomes one: a divisor that leaves a zero numerator zero."""
    xp = array_namespace(values)
    return xp.where(values == 0, xp.ones_like(values), values)
