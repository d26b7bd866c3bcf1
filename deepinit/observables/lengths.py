"""Growth of lengths and volumes in a network."""

from typing import Any

import jax.numpy as jnp

from deepinit.core.typing import Float, Like
from deepinit.observables.measurement import Measurement

# Codes of `networks.rows.EVENTS`, which observables may not import; a test compares them.
FINE, DEAD, NOT_FINITE = 0, 2, 3


def log_volume(rows: Any) -> Measurement:
    """ln sqrt det (J U)^T (J U) of orthonormal frames U, J the Jacobian.

    A frame with fewer active units than vectors is dead.
    """
    return log_volume_of(_log_stretches(rows).sum(axis=1))


def _log_stretches(rows: Any) -> Any:
    """[num_frames, d]; NaN where the point is not finite: a derivative may still be a number."""
    finite = jnp.isfinite(rows.inner_products.point_norm2) & jnp.isfinite(rows.point_scales)
    return jnp.where(rows.of_frame_bases(finite)[:, None], rows.log_norm_growths, jnp.nan)


def log_volume_of(value: Float[Like, "*shape"]) -> Measurement:
    """Measurement of a log-volume, -inf where the volume is 0."""
    event = jnp.where(jnp.isneginf(value), DEAD, jnp.where(jnp.isfinite(value), FINE, NOT_FINITE))
    return Measurement(jnp.where(event == FINE, value, 0), event.astype(jnp.int8))


def curve_length_by_tangents(rows: Any) -> Measurement:
    """Relative length of a curve's image: mean of |J(t) gamma'(t)| / |gamma'(t)|.

    Unbiased over networks; error for one network O(1/num_nodes). A dead network has length 0.
    """
    log_norm_growths = _log_stretches(rows)[:, 0]
    return _mean(jnp.ones_like(log_norm_growths), log_norm_growths)


def curve_length_by_chords(rows: Any, chord: float) -> Measurement:
    """Length of the polygon through equally spaced points' images, relative to the curve.

    Relative deficit, from Rice's formula and h j^2 / (12 s) per kink of a step h (speed s, jump j
    across): (h / (3 pi)) sum_l K_l omega_l^3 / v_l^2 (1 + O(1/width)), with K the variance, v the
    speed and omega the angular speed of a preactivation. Bias-free ReLU network, circle: 2
    depth / (3 num_chords).
    `rows`: points, each with the displacement to the next. `chord`: the curve's length over the
    number of chords.
    """
    scales = rows.of_bases(rows.point_scales) + rows.displacement_scales
    return _mean(jnp.sqrt((rows.displacements * rows.displacements).sum(axis=1)) / chord, scales)


def _mean(values: Any, log_scales: Any) -> Measurement:
    """Mean of exp(log_scales) * values, [1], at the largest log-scale of nonzero values."""
    nonzero = ((values != 0) | (log_scales == jnp.inf)) & ~jnp.isneginf(log_scales)
    largest = jnp.max(jnp.where(nonzero, log_scales, -jnp.inf), keepdims=True)
    largest = jnp.where(jnp.any(nonzero), largest, 0)
    shares = jnp.where(nonzero, values * jnp.exp(jnp.where(nonzero, log_scales - largest, 0)), 0)
    return Measurement(shares.mean(keepdims=True), jnp.zeros(1, jnp.int8), log_scale=largest)
