"""How much a network stretches lengths and volumes."""

from typing import Any

import jax.numpy as jnp

from deepinit.observables.measurement import Measurement

# Codes of `networks.rows.EVENTS`, which observables may not import; a test holds the two together.
FINE, DEAD, NOT_FINITE = 0, 2, 3


def log_volume(rows: Any) -> Measurement:
    """ln of the volume that the Jacobian makes of each frame of unit volume, ln sqrt det (J U)^T (J U): [num_frames].

    Of a frame of one vector u this is ln |J u|. A frame that has lost its dimension (fewer active units than vectors) is dead.
    """
    return log_volume_of(_log_stretches(rows).sum(axis=1))


def _log_stretches(rows: Any) -> Any:
    """[num_frames, d]; NaN where the point is not finite: the derivative of an activation there may be a number."""
    finite = jnp.isfinite(rows.inner_products.point_norm2) & jnp.isfinite(rows.point_scales)
    return jnp.where(rows.of_frame_bases(finite)[:, None], rows.log_stretches, jnp.nan)


def log_volume_of(value: Any) -> Measurement:
    """The Measurement of a log-volume that is -inf where the volume is 0."""
    event = jnp.where(jnp.isneginf(value), DEAD, jnp.where(jnp.isfinite(value), FINE, NOT_FINITE))
    return Measurement(jnp.where(event == FINE, value, 0), event.astype(jnp.int8))


def curve_length_by_tangents(rows: Any) -> Measurement:
    """Length of a curve's image over its own length: mean of |J(t) gamma'(t)| / |gamma'(t)| over the nodes, [1].

    Nodes are uniform in pieces of equal length, so the mean over networks is that of the true length whatever their number;
    for one network the error falls like 1/num_nodes. Nothing is excluded: a network that is dead has length 0.
    """
    log_stretches = _log_stretches(rows)[:, 0]
    return _mean(jnp.ones_like(log_stretches), log_stretches)


def curve_length_by_chords(rows: Any, chord: float) -> Measurement:
    """Length of the polygon through the images of equally spaced points over the curve's own length, [1].

    Biased low, by 2 depth / (3 num_chords) of itself, up to O(1/width), for a circle through a bias-free ReLU network.

    Args:
        rows: points, each with the displacement to the next.
        chord: the curve's own length divided by the number of chords.
    """
    scales = rows.of_bases(rows.point_scales) + rows.displacement_scales
    return _mean(jnp.sqrt((rows.displacements * rows.displacements).sum(axis=1)) / chord, scales)


def _mean(values: Any, log_scales: Any) -> Measurement:
    """The mean of exp(log_scales) * values, [1], at the largest log-scale; that of 0 may be -inf."""
    there = ((values != 0) | (log_scales == jnp.inf)) & ~jnp.isneginf(log_scales)
    largest = jnp.max(jnp.where(there, log_scales, -jnp.inf), keepdims=True)
    largest = jnp.where(jnp.any(there), largest, 0)
    shares = jnp.where(there, values * jnp.exp(jnp.where(there, log_scales - largest, 0)), 0)
    return Measurement(shares.mean(keepdims=True), jnp.zeros(1, jnp.int8), log_scale=largest)
