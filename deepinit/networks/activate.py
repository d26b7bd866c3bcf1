"""Activations of points, tangents and displacements."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from deepinit.core.activations import Activation
from deepinit.core.activations import linear as identity
from deepinit.core.power_laws import evaluation_range, gains, power_laws
from deepinit.core.rounding import flush_level
from deepinit.networks.rows import Rows, at_true_size


def activate(rows: Rows, activation: Activation) -> Rows:
    """phi of points, phi' times tangents, phi(z + dz) - phi(z) of displacements.

    phi acts on exp(s) z, by its power law (`core.power_laws`) at extreme s; homogeneous phi
    commutes with exp(s).
    """
    if activation == identity:
        return rows
    if activation.is_homogeneous:
        return _activate(rows, activation, jnp.zeros_like(rows.point_scales))
    smallest = flush_level(activation)
    if at_true_size(rows):
        after = _activate(rows, activation, rows.point_scales)
        return flushed(after, smallest) if smallest else after
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
    tangents, log_norm_growths = after.tangents, after.log_norm_growths
    if tangents is not None:
        at = rows.of_frame_bases(rows.points)[:, None]
        gradient = gains(laws.derivatives, rows.of_frame_bases(beyond)[:, None], tangents, at)
        tangents, log_norm_growths = (
            tangents * jnp.exp(gradient.entries),
            log_norm_growths + gradient.row,
        )
    after = dataclasses.replace(
        after,
        points=after.points * jnp.exp(value.entries),
        displacements=after.displacements * jnp.exp(difference.entries),
        tangents=tangents,
        point_scales=within + value.row,
        displacement_scales=after.displacement_scales + difference.row - rows.of_bases(value.row),
        log_norm_growths=log_norm_growths,
    )
    return flushed(after, smallest) if smallest else after


def _activate(rows: Rows, activation: Activation, scales: jax.Array) -> Rows:
    """`activate` at log-scales [num_points]."""
    size = jnp.exp(scales)[:, None]
    points, tangents = size * rows.points, rows.tangents
    if tangents is not None:
        tangents = rows.of_frame_bases(activation.derivative(points))[:, None] * tangents
    displacements = rows.displacements
    if rows.bases:  # else the difference would be compiled for no rows
        step = jnp.exp(
            jnp.maximum(rows.of_bases(scales) + rows.displacement_scales, smallest_scale(rows))
        )[:, None]
        displacements = activation.difference(rows.of_bases(points), step * displacements) / step
    return dataclasses.replace(
        rows,
        points=activation(points) / size,
        displacements=displacements,
        tangents=tangents,
        cached=None,
    )


def flushed(rows: Rows, smallest: float) -> Rows:
    """Coordinates below `smallest`, compared by logarithms, of points or partners set to 0."""
    least = math.log(smallest) - rows.point_scales
    keep = ~(jnp.log(jnp.abs(rows.points)) < least[:, None])  # NaN stays
    base, keep_base = rows.of_bases(rows.points), rows.of_bases(keep)
    step = jnp.exp(jnp.maximum(rows.displacement_scales, smallest_scale(rows)))[:, None]
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
        cached=None,
    )


def smallest_scale(rows: Rows) -> float:
    """log(eps^2 / 4), below which the derivative alone acts."""
    return 2.0 * math.log(0.5 * float(jnp.finfo(rows.points.dtype).eps))
