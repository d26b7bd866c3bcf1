"""Between layers: events, and rows kept at moderate size."""

import dataclasses
from typing import Any

from deepinit.core.array_api import array_namespace, without_slopes
from deepinit.networks.rows import COLLINEAR, DEAD, FINE, NOT_FINITE, InnerProducts, Rows, nonzero


def orthogonalize_partners(rows: Rows) -> Rows:
    """Rescale partners to displacements orthogonal to their bases (scale-invariant rows).

    b -> kappa b, kappa = |a|^2 / (a.b); for a.b < |a|^2 / 4, kappa = |a| / |b|, which leaves
    cos - 1 along the base.
    """
    xp = array_namespace(rows.points)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    base, base_norm2 = rows.of_bases(rows.points), nonzero(rows.of_bases(point_norm2))
    scale = xp.exp(rows.displacement_scales)
    projection_less_1 = scale * parallel
    projection = 1 + projection_less_1
    small = projection > 0.25
    equal_norms = xp.sqrt(base_norm2 / nonzero(partner_norm2(rows)))
    kappa = xp.where(small, 1 / xp.where(small, projection, 1), equal_norms)
    # -ln kappa, to relative accuracy for close pairs: their distance depends on it
    change = xp.where(
        small, xp.log1p(xp.where(small, projection_less_1, 0)), -xp.log(nonzero(kappa))
    )
    # far pairs have displacements of the size of the base: scale is O(1) and may be divided by
    cosine, divisor = kappa * projection, xp.where(small, 1, scale)
    minus = (kappa * scale) ** 2 * residual_norm2 / base_norm2 / (1 + xp.maximum(cosine, 0))
    along = xp.where(small, 0, xp.where(cosine > 0, -minus, cosine - 1) / divisor)
    shift = (along - kappa * parallel)[:, None] * base
    displacements = kappa[:, None] * rows.displacements + shift
    return dataclasses.replace(
        rows,
        displacements=displacements,
        partner_scales=rows.partner_scales + change,
        cached=InnerProducts(point_norm2, along, kappa**2 * residual_norm2),
    )


def rescale(rows: Rows, *, rescale_points: bool = True) -> Rows:
    """Move root mean squares of displacements (and points) into log-scales.

    Without derivative: the factor cancels between rows and scales.
    """
    xp = array_namespace(rows.points)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    width = rows.points.shape[1]
    size = xp.ones_like(rows.point_scales)
    if rescale_points:
        size = xp.sqrt(nonzero(point_norm2 / width))
    length = xp.sqrt(nonzero(displacement_norm2(rows) / width))
    size, length = without_slopes(size, length)
    base_size = rows.of_bases(size)
    residual_norm2 = residual_norm2 / length**2
    return dataclasses.replace(
        rows,
        points=rows.points / size[:, None],
        displacements=rows.displacements / length[:, None],
        point_scales=rows.point_scales + xp.log(size),
        displacement_scales=rows.displacement_scales + xp.log(length) - xp.log(base_size),
        cached=InnerProducts(point_norm2 / size**2, parallel * base_size / length, residual_norm2),
    )


def detect_events(rows: Rows, *, absorbing: bool) -> Rows:
    """Mark pairs without an angle: zero image, collinear to rounding, overflow.

    With `absorbing` (homogeneous, no bias) a pair keeps its first event.
    """
    xp = array_namespace(rows.points)
    tolerance = 4.0 * float(xp.finfo(rows.points.dtype).eps)
    base_norm2, length2 = rows.of_bases(rows.inner_products.point_norm2), displacement_norm2(rows)
    partner_is_dead = partner_norm2(rows) <= tolerance**2 * base_norm2
    dead = (base_norm2 == 0) | partner_is_dead
    collinear = rows.inner_products.residual_norm2 <= tolerance**2 * length2
    finite = xp.isfinite(base_norm2) & xp.isfinite(length2)
    event = xp.where(dead, DEAD, xp.where(collinear, COLLINEAR, FINE))
    event = xp.where(finite, event, NOT_FINITE).astype(xp.int8)
    if not absorbing:
        return dataclasses.replace(rows, events=event)
    event = xp.where(rows.events != FINE, rows.events, event)
    # the rest of a dead partner is rounding, and would grow again relative to its base
    scales = xp.where(partner_is_dead & (base_norm2 > 0), -xp.inf, rows.partner_scales)
    return dataclasses.replace(rows, events=event, partner_scales=scales)


def displacement_norm2(rows: Rows) -> Any:
    """[num_pairs]: |d|^2 = (a.d)^2 / |a|^2 + |r|^2."""
    point_norm2, parallel, residual_norm2 = rows.inner_products
    return parallel**2 * rows.of_bases(point_norm2) + residual_norm2


def partner_norm2(rows: Rows) -> Any:
    """[num_pairs]: |a + s d|^2 = (1 + s a.d / |a|^2)^2 |a|^2 + s^2 |r|^2, in the base's scale."""
    point_norm2, parallel, residual_norm2 = rows.inner_products
    scale = array_namespace(rows.points).exp(rows.displacement_scales)
    return (1 + scale * parallel) ** 2 * rows.of_bases(point_norm2) + scale**2 * residual_norm2


def orthonormalize_frames(rows: Rows) -> Rows:
    """Gram-Schmidt, twice projected; adds log norms to `log_norm_growths` (-inf if dependent)."""
    if rows.tangents is None:
        return rows
    xp = array_namespace(rows.tangents)
    tolerance = 4.0 * float(xp.finfo(rows.tangents.dtype).eps)
    directions: list[Any] = []
    log_norms = []
    for index in range(rows.tangents.shape[1]):
        vector = residual = rows.tangents[:, index]
        for _ in range(2 if directions else 0):
            for direction in directions:
                residual = residual - (residual * direction).sum(axis=1, keepdims=True) * direction
        size2, norm2 = (vector * vector).sum(axis=1), (residual * residual).sum(axis=1)
        # an overflow is no lost dimension
        lost = (norm2 <= tolerance**2 * size2) & xp.isfinite(size2)
        norm = xp.where(lost, 0, xp.sqrt(norm2))
        directions.append(xp.where(norm[:, None] == 0, 0, residual / nonzero(norm)[:, None]))
        log_norms.append(xp.where(norm == 0, -xp.inf, xp.log(nonzero(norm))))
    return dataclasses.replace(
        rows,
        tangents=xp.stack(directions, axis=1),
        log_norm_growths=rows.log_norm_growths + xp.stack(log_norms, axis=1),
    )
