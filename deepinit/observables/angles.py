"""The angle between the images of two inputs."""

from typing import Any

import jax.numpy as jnp

from deepinit.observables.measurement import Measurement


def log_sin2_angle(rows: Any) -> Measurement:
    """ln sin^2 of the angle between each point and its partner: [num_pairs].

    With the displacement d of the partner a + exp(s) d, its residual r = d - (a.d / |a|^2) a and beta = 1 + exp(s) a.d / |a|^2:

        sin^2 = exp(2 s) |r|^2 / (beta^2 |a|^2 + exp(2 s) |r|^2),

    in which nothing cancels however small the angle.
    """
    point_norm2, parallel, residual_norm2 = rows.inner_products
    base_norm2 = rows.of_bases(point_norm2)
    scale = rows.displacement_scales
    scaled = jnp.exp(2 * scale) * residual_norm2
    along = (1 + jnp.exp(scale) * parallel) ** 2 * base_norm2
    value = 2 * scale + jnp.log(residual_norm2) - jnp.log(along + scaled)
    return Measurement(
        jnp.minimum(value, 0), rows.events
    )  # rounding may put a right angle a last digit above 0
