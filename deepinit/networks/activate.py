"""Activations on rows: of the points, along tangents, and the exact differences of every displacement."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.core.activations import linear as identity
from deepinit.core.power_laws import evaluation_range, gains, power_laws
from deepinit.core.rounding import flush_level
from deepinit.networks.rows import Rows


def activate(rows: Rows, activation: Activation) -> Rows:
    """phi of the points, phi' times the tangents, and the exact difference phi(z + dz) - phi(z) of every displacement.

    A positively homogeneous activation does not see the points' scale s. Any other is evaluated at exp(s) z, or, where exp(s) is so small
    or so large that the activation is a power there, at the end of the range in between (see `core.power_laws`).
    """
    if activation == identity:
        return rows
    if activation.is_homogeneous:
        return _activate(rows, activation, jnp.zeros_like(rows.point_scales))
    laws = power_laws(activation)
    within = jnp.clip(
        rows.point_scales,
        *(math.log(2.0) * end for end in evaluation_range(laws, rows.points.dtype)),
    )
    after, beyond, base = (
        _activate(rows, activation, within),
        rows.point_scales - within,
        rows.of_bases(rows.points),
    )
    value = gains(laws.values, beyond, after.points, rows.points)
    partner = base + jnp.exp(rows.displacement_scales)[:, None] * rows.displacements
    difference = gains(laws.differences, rows.of_bases(beyond), after.displacements, base, partner)
    tangents, stretches = after.tangents, after.log_stretches
    if tangents is not None:
        at = rows.of_frame_bases(rows.points)[:, None]
        slope = gains(laws.derivatives, rows.of_frame_bases(beyond)[:, None], tangents, at)
        tangents, stretches = tangents * jnp.exp(slope.entries), stretches + slope.row
    after = dataclasses.replace(
        after,
        points=after.points * jnp.exp(value.entries),
        displacements=after.displacements * jnp.exp(difference.entries),
        tangents=tangents,
        point_scales=within + value.row,
        displacement_scales=after.displacement_scales + difference.row - rows.of_bases(value.row),
        log_stretches=stretches,
    )
    smallest = flush_level(activation)
    return flushed(after, smallest) if smallest else after


def _activate(rows: Rows, activation: Activation, scales: jax.Array) -> Rows:
    """The same with points of log-scale `scales` [num_points], which they keep."""
    size = jnp.exp(scales)[:, None]
    points, tangents = size * rows.points, rows.tangents
    if tangents is not None:
        tangents = rows.of_frame_bases(activation.derivative(points))[:, None] * tangents
    displacements = rows.displacements
    if rows.bases:  # else no time is spent on compiling differences of nothing
        step = jnp.exp(
            jnp.maximum(rows.of_bases(scales) + rows.displacement_scales, _smallest_scale(rows))
        )[:, None]
        displacements = activation.difference(rows.of_bases(points), step * displacements) / step
    return dataclasses.replace(
        rows,
        points=activation(points) / size,
        displacements=displacements,
        tangents=tangents,
        known=None,
    )


def flushed(rows: Rows, smallest: float) -> Rows:
    """Coordinates of points, partners and tangents become 0 where the point, or the partner, is below `smallest`.

    Compared by logarithms, since the smallest value of interest (2^-126 in float32) has no place in the dtype beside the scale.
    """
    least = math.log(smallest) - rows.point_scales
    keep = ~(jnp.log(jnp.abs(rows.points)) < least[:, None])  # what is not a number stays
    base, keep_base = rows.of_bases(rows.points), rows.of_bases(keep)
    step = jnp.exp(jnp.maximum(rows.displacement_scales, _smallest_scale(rows)))[:, None]
    partner = base + step * rows.displacements
    keep_partner = ~(jnp.log(jnp.abs(partner)) < rows.of_bases(least)[:, None])
    one_only = jnp.where(keep_partner, partner, -base) / step
    both = jnp.where(keep_base, rows.displacements, 0)
    displacements = jnp.where(keep_base == keep_partner, both, one_only)
    tangents = None if rows.tangents is None else rows.of_frame_bases(keep)[:, None] * rows.tangents
    return dataclasses.replace(
        rows,
        points=jnp.where(keep, rows.points, 0),
        displacements=displacements,
        tangents=tangents,
        known=None,
    )


def _smallest_scale(rows: Rows) -> float:
    """A displacement as small as the square of the rounding unit acts through the derivative alone: phi is not evaluated at smaller ones."""
    return 2.0 * math.log(0.5 * float(jnp.finfo(rows.points.dtype).eps))
