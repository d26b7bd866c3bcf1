"""The distance between the images of two inputs."""

from typing import Any

import jax.numpy as jnp


def log_distance(rows: Any) -> Any:
    r"""ln |x - x'| of each point x and its partner x': [num_pairs]; -inf where they are equal.

    With x = exp(c) a, x' = exp(c + p) (a + exp(s) d), the part b a of d along a, and its residual r = d - b a:

        |x - x'|^2 = exp(2 c) [(exp(p) - 1 + exp(p + s) b)^2 |a|^2 + exp(2 (p + s)) |r|^2].

    Nothing cancels for close pairs: where partners are not free p = 0, where they are b is 0, or the pair is far. Both
    terms are divided by the larger of exp(p) - 1 and exp(p + s), so that neither underflows.
    """
    point_norm2, along, residual_norm2 = rows.inner_products
    ratio, step = rows.partner_scales, rows.partner_scales + rows.displacement_scales  # p, p + s
    growth = jnp.maximum(ratio, 0) + jnp.log(-jnp.expm1(-jnp.abs(ratio)))  # ln |exp(p) - 1|
    unit = jnp.maximum(growth, step)
    radial = jnp.sign(ratio) * jnp.exp(growth - unit) + jnp.exp(step - unit) * along
    square = radial**2 * rows.of_bases(point_norm2) + jnp.exp(2 * (step - unit)) * residual_norm2
    return rows.of_bases(rows.point_scales) + unit + 0.5 * jnp.log(square)
