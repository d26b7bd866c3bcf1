"""Angle and distance between the images of two inputs."""

from typing import Any

import jax.numpy as jnp

from deepinit.core.typing import Float, Like
from deepinit.observables.measurement import Measurement


def log_sin2_angle(rows: Any) -> Measurement:
    """ln sin^2 of the angle between each point and its partner, without cancellation.

    With the partner a + exp(s) d, r = d - (a.d / |a|^2) a and beta = 1 + exp(s) a.d / |a|^2,

        sin^2 = exp(2 s) |r|^2 / (beta^2 |a|^2 + exp(2 s) |r|^2).
    """
    point_norm2, parallel, residual_norm2 = rows.inner_products
    scale = rows.displacement_scales
    scaled = jnp.exp(2 * scale) * residual_norm2
    along = (1 + jnp.exp(scale) * parallel) ** 2 * rows.of_bases(point_norm2)
    value = 2 * scale + jnp.log(residual_norm2) - jnp.log(along + scaled)
    return Measurement(jnp.minimum(value, 0), rows.events)  # rounding of a right angle


def log_distance(rows: Any) -> Float[Like, "pairs"]:
    """ln |x - x'| of each point x and its partner x'; -inf where they are equal.

    With x = exp(c) a, x' = exp(c + p) (a + exp(s) d), d = b a + r, r orthogonal to a,

        |x - x'|^2 = exp(2 c) [(exp(p) - 1 + exp(p + s) b)^2 |a|^2 + exp(2 (p + s)) |r|^2],

    without cancellation (p = 0 unless partners are free, and then b = 0 or the pair is far) or
    underflow (terms are divided by the larger of exp(p) - 1 and exp(p + s)).
    """
    point_norm2, along, residual_norm2 = rows.inner_products
    ratio, step = rows.partner_scales, rows.partner_scales + rows.displacement_scales  # p, p + s
    growth = jnp.maximum(ratio, 0) + jnp.log(-jnp.expm1(-jnp.abs(ratio)))  # ln |exp(p) - 1|
    unit = jnp.maximum(growth, step)
    radial = jnp.sign(ratio) * jnp.exp(growth - unit) + jnp.exp(step - unit) * along
    square = radial**2 * rows.of_bases(point_norm2) + jnp.exp(2 * (step - unit)) * residual_norm2
    return rows.of_bases(rows.point_scales) + unit + 0.5 * jnp.log(square)
