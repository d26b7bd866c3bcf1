"""Forward pass of a network, with any linear map and taps."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.core.layers import Program, Shape, program
from deepinit.networks import rules as rules  # registers every row rule
from deepinit.networks.interpreter import (
    Draw,
    LayerState,
    Tap,
    apply,
    check_rules,
    key_source,
    key_sources,
    renormalize,
    walk,
)
from deepinit.networks.linear_layers import drawn_layer
from deepinit.networks.linear_maps import auto, conditional
from deepinit.networks.renormalization import orthonormalize_frames
from deepinit.networks.rows import Rows
from deepinit.networks.tied_maps import TiedMaps


def random_draw(linear_map: Callable[..., jax.Array], precision: str, depth: int) -> Draw:
    """Draws from keys, without residuals."""
    layer_fn = drawn_layer(linear_map, precision)
    linear = lambda source, rows, layer: (*layer_fn(source, rows, layer), ())
    again = linear_map in (auto, conditional)
    tied = TiedMaps(linear_map is auto, precision) if again else None
    return Draw(linear, key_source, key_sources, depth, tied=tied)


def forward(
    net: Program, rows: Rows, sources: Any, draw: Draw, tap: Tap, *, tap_output: bool = False
) -> tuple[Any, Rows]:
    """Taps of the body's sites, and rows of the readout or last site.

    `sources`: of embedding, body and readout (keys or parameters). `tap`: record of a site; with
    `tap_output` of the readout too.
    """
    embedding, body, readout = sources
    check_rules(net.body, net.body_shape, rows)
    rows = rows.with_inner_products()
    if net.embedding is not None:
        rows = renormalize(apply(net.embedding, rows, embedding, net.shape, draw).rows)
    rows, taps = walk(net.body, rows, body, net.body_shape, draw, tap)
    if net.readout is None:
        return taps, rows
    rows = orthonormalize_frames(apply(net.readout, rows, readout, net.last_shape, draw).rows)
    if tap_output:
        state = LayerState(rows, rows, None, net.output_shape)
        last = jax.tree.map(lambda leaf: leaf[None], tap(state))
        taps = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), taps, last)
    return taps, rows


def random_forward(
    spec: Any,
    rows: Rows,
    key: jax.Array,
    tap: Tap,
    *,
    linear_map: Callable[..., jax.Array],
    precision: str = "highest",
    tap_output: bool = False,
    shape: Shape | None = None,
    watch: bool = False,
) -> tuple[Any, Rows]:
    """`forward` of random layers: layer l of an architecture draws from `fold_in(key, l)`.

    `watch`: the tap's states carry what control variates read.
    """
    del watch
    net = program(spec, shape or Shape((), rows.points.shape[1]))
    draw = random_draw(linear_map, precision, net.depth)
    return forward(net, rows, key_parts(net, key), draw, tap, tap_output=tap_output)


def key_parts(net: Program, key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Keys of embedding, body and readout."""
    embedding, readout = (key_source(key, n, 0) for n in (net.embedding_key, net.readout_key))
    return embedding, key, readout
