"""Row rules of deterministic layers that act on one input at a time, from one function.

    function(layer, shape, x [size], log_scale) -> y [size']

is the layer at exp(log_scale) x: exp(log_scale) y with `keeps_scale` (positively homogeneous of
degree 1), else y. Tangents are its jvp, cotangents its vjp, displacements
`difference(layer, shape, x, dx, log_scale)`, of the same scale, or
    f(x + dx) - f(x) = int_0^1 f'(x + t dx) dx dt
by 3 Gauss-Legendre nodes, relative error 5e-7 (|dx| / |x|)^6 times a constant; above |dx| = 0.3 |x|
the plain difference.
"""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.layers import Shape
from deepinit.networks.activate import smallest_scale
from deepinit.networks.cotangents import Cotangents
from deepinit.networks.interpreter import Applied, Draw, RowRule
from deepinit.networks.rows import Rows, unit_scales

Function = Callable[[Any, Shape, jax.Array, jax.Array], jax.Array]
_NODES = 0.5 + 0.5 * math.sqrt(0.6) * np.array([-1.0, 0.0, 1.0])
_WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
_LONGEST_STEP = 0.3  # of the quadrature, relative to the input


def row_map(
    function: Function,
    difference: Callable[..., jax.Array] | None = None,
    *,
    keeps_scale: bool = False,
) -> RowRule:
    """The rule of a deterministic layer (module docstring)."""

    def forward(layer: Any, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
        del source, draw
        at = lambda x, scale: function(layer, shape, x, scale)
        points = jax.vmap(at)(rows.points, rows.point_scales)
        displacements = jnp.zeros((0, points.shape[1]), points.dtype)
        if rows.bases:
            step = jnp.exp(jnp.maximum(rows.displacement_scales, smallest_scale(rows)))
            base, scale = rows.of_bases(rows.points), rows.of_bases(rows.point_scales)
            change = difference or _by_quadrature(function)
            moved = jax.vmap(lambda x, dx, scale: change(layer, shape, x, dx, scale))
            displacements = moved(base, step[:, None] * rows.displacements, scale) / step[:, None]
        tangents, growths = rows.tangents, rows.log_norm_growths
        if tangents is not None:
            base, scale = rows.of_frame_bases(rows.points), rows.of_frame_bases(rows.point_scales)
            push = lambda x, scale, t: jax.jvp(lambda x: at(x, scale), (x,), (t,))[1]
            frames = jax.vmap(push, in_axes=(None, None, 0))
            tangents = jax.vmap(frames)(base, scale, tangents)
            growths = growths if keeps_scale else growths - scale[:, None]
        after = dataclasses.replace(
            rows,
            points=points,
            displacements=displacements,
            tangents=tangents,
            log_norm_growths=growths,
            point_scales=rows.point_scales if keeps_scale else unit_scales(rows),
            cached=None,
        )
        return Applied(after)

    def backward(
        layer: Any, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
    ) -> tuple[Cotangents, None]:
        del saved, source
        at = lambda x, log_scale: function(layer, shape, x, log_scale)
        return pulled(at, rows, back, draw, keeps_scale), None

    return RowRule(forward, backward)


def pulled(
    at: Callable[[jax.Array, jax.Array], jax.Array],
    rows: Rows,
    back: Cotangents,
    draw: Draw,
    keeps_scale: bool,
) -> Cotangents:
    """Cotangents of the inputs of `at(x, log_scale)`."""
    points = np.asarray(draw.points, np.int32)
    pull = lambda x, scale, u: jax.vjp(lambda x: at(x, scale), x)[1](u)[0]
    scales = rows.point_scales[points]
    vectors = jax.vmap(pull)(rows.points[points], scales, back.vectors)
    return Cotangents(vectors, back.log_scales if keeps_scale else back.log_scales - scales)


def _by_quadrature(function: Function) -> Callable[..., jax.Array]:
    def difference(
        layer: Any, shape: Shape, x: jax.Array, dx: jax.Array, scale: jax.Array
    ) -> jax.Array:
        at = lambda x: function(layer, shape, x, scale)
        push = lambda node: jax.jvp(at, (x + node * dx,), (dx,))[1]
        nodes, weights = jnp.asarray(_NODES, x.dtype), jnp.asarray(_WEIGHTS, x.dtype)
        integral = jnp.tensordot(weights, jax.vmap(push)(nodes), 1)
        is_short = jnp.sum(dx * dx) < _LONGEST_STEP**2 * jnp.sum(x * x)
        return jnp.where(is_short, integral, at(x + dx) - at(x))

    return difference
