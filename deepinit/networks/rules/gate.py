"""Row rule of gates: u phi(g), with displacements
u' phi(g') - u phi(g) = du phi(g) + (u + du) (phi(g + dg) - phi(g)).
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.layers import Gate, Shape
from deepinit.networks.activate import activate
from deepinit.networks.cotangents import Cotangents, times_derivative
from deepinit.networks.interpreter import ROWS, Applied, Draw, RowRule
from deepinit.networks.rows import Rows


def _half(values: Any, shape: Shape, number: int) -> Any:
    """Half of the neurons at every position, [..., positions * width / 2]."""
    halves = values.reshape(*values.shape[:-1], shape.num_positions, 2, (shape.width or 0) // 2)
    return halves[..., number, :].reshape(*values.shape[:-1], shape.size // 2)


def _halves(rows: Rows, shape: Shape) -> tuple[Rows, Rows]:
    def half(number: int) -> Rows:
        return dataclasses.replace(
            rows,
            points=_half(rows.points, shape, number),
            displacements=_half(rows.displacements, shape, number),
            tangents=None if rows.tangents is None else _half(rows.tangents, shape, number),
            cached=None,
        )

    return half(0), half(1)


def _forward(layer: Gate, rows: Rows, source: Any, shape: Shape, draw: Draw) -> Applied:
    del source, draw
    scales = rows.point_scales  # constants after a norm, kept as such
    rows = dataclasses.replace(jax.tree.map(jnp.asarray, rows), point_scales=scales)
    linear, gate = _halves(rows, shape)
    gate = activate(gate, layer.phi)
    size = lambda log_scales: jnp.exp(log_scales)[:, None]
    partner = rows.of_bases(linear.points) + size(rows.displacement_scales) * linear.displacements
    step = size(gate.displacement_scales - rows.displacement_scales)
    displacements = linear.displacements * rows.of_bases(gate.points)
    displacements = displacements + partner * (step * gate.displacements)
    tangents, growths = rows.tangents, rows.log_norm_growths
    if tangents is not None:
        grown = jnp.where(jnp.isfinite(growths), gate.log_norm_growths - growths, 0)
        outer = rows.of_frame_bases(gate.point_scales)[:, None]
        inner = grown + rows.of_frame_bases(rows.point_scales)[:, None]
        larger = jnp.maximum(outer, inner)
        value = rows.of_frame_bases(gate.points)[:, None]
        at = rows.of_frame_bases(linear.points)[:, None]
        tangents = jnp.exp(outer - larger)[..., None] * linear.tangents * value
        tangents = tangents + jnp.exp(inner - larger)[..., None] * at * gate.tangents
        growths = growths + larger
    after = dataclasses.replace(
        rows,
        points=linear.points * gate.points,
        displacements=displacements,
        tangents=tangents,
        log_norm_growths=growths,
        point_scales=rows.point_scales + gate.point_scales,
        partner_scales=rows.partner_scales + gate.partner_scales,
        cached=None,
    )
    return Applied(after, rows)


def _backward(
    layer: Gate, rows: Rows, saved: Any, back: Cotangents, source: Any, shape: Shape, draw: Draw
) -> tuple[Cotangents, None]:
    del saved, source
    linear, gate = _halves(rows, shape)
    after, points = activate(gate, layer.phi), jnp.asarray(draw.points)
    to_linear = back.vectors * after.points[points]
    scale = back.log_scales + after.point_scales[points]
    scaled = back.log_scales + rows.point_scales[points]
    outer = Cotangents(back.vectors * linear.points[points], scaled)
    to_gate, gate_scale = times_derivative(outer, gate, draw.points, layer.phi)
    larger = jnp.maximum(scale, gate_scale)
    both = [
        jnp.exp(log_scale - larger)[:, None] * vectors
        for vectors, log_scale in ((to_linear, scale), (to_gate, gate_scale))
    ]
    joined = [part.reshape(len(part), shape.num_positions, -1) for part in both]
    vectors: jax.Array = jnp.concatenate(joined, axis=-1).reshape(len(joined[0]), -1)
    return Cotangents(vectors, larger), None


ROWS.rule(Gate)(RowRule(_forward, _backward))
