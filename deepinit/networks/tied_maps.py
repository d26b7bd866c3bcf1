"""Random linear maps that are used several times, in the exact joint law.

Uses of W = s Z, Z [fan_out, fan_in] of standard normals: rows forward, then cotangents backward.
They leave orthonormal Q [r, fan_in], P [q, fan_out] and images N = Q Z^T, B = P Z; given these

    Z = N^T Q + P^T B (I - Q^T Q) + (I - P^T P) Z' (I - Q^T Q),   Z' independent.

    rows        H = A Q + L Q'   ->   s (A N + L N'),   N' normals
    cotangents  U = C P + L P'   ->   s (C B + L B'),   B' = P' N^T Q + X (I - Q^T Q),   X normals
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.errors import SpecError
from deepinit.core.generator import standard_normals
from deepinit.core.laws import Law
from deepinit.core.layers.outline import is_conditional
from deepinit.core.orthonormal import orthonormalize_rows
from deepinit.networks.linear_layers import LinearLayer, drawn_layer
from deepinit.networks.linear_maps import Saved, conditional_with_residuals, explicit
from deepinit.networks.rows import Rows


class TiedMaps(NamedTuple):
    """How maps are drawn: conditional, or (`is_auto`) explicit where cheaper."""

    is_auto: bool
    precision: str


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Place:
    """Number of a map among those of its layer, kept for the backward pass."""

    number: int


def row_use(
    maps: TiedMaps | None,
    key: jax.Array,
    rows: Rows,
    layer: LinearLayer,
    known: Saved | None,
    use: Any,
    times: int | None,
    cotangents: float,
) -> tuple[jax.Array, jax.Array | None, Saved | None]:
    """Images of rows, bias, and what they add to `known` (Q, N); None: explicit.

    Args:
        times: number of uses; None for an unknown one, which is explicit.
        cotangents: per row, of every use.
    """
    assert maps is not None
    law, (num_rows, fan_in), fan_out = layer.weight_law, rows.stacked.shape, layer.fan_out
    # r fan_out + q fan_in numbers against a quarter of the matrix
    numbers = (times or 0) * num_rows * (fan_out + cotangents * fan_in)
    if maps.is_auto and (times is None or not is_conditional(law, numbers, fan_in * fan_out)):
        return *drawn_layer(explicit, maps.precision)(key, rows, layer), None
    if times is None or (isinstance(law, Law) and law.is_haar):
        given = "conditional maps of a Tied layer with " + (
            "a Repeat or Tied inside" if times is None else f"the law {law.name!r}"
        )
        remedy = "Leave linear_map out."
        raise SpecError(given, "linear_map='explicit' or 'auto' for this network", remedy)

    def draw(key: jax.Array, rows: Rows, law: Any, fan_out: int, depth: int, precision: str) -> Any:
        key = key if known is None else jax.random.fold_in(key, use)
        images, new = conditional_with_residuals(key, rows, law, fan_out, depth, precision, known)
        return images, new._replace(factor=None)  # of one use; the same fields at every use

    (images, new), bias = drawn_layer(draw, maps.precision)(key, rows, layer)
    return images, bias, new


def cotangent_use(
    key: jax.Array,
    vectors: jax.Array,
    layer: LinearLayer,
    fan_in: int,
    rows: Saved,
    known: Saved | None,
    use: Any,
) -> tuple[jax.Array, Saved]:
    """W^T u after all uses of `rows` (Q, N), and what it adds to `known` (P, B)."""
    key = jax.random.fold_in(jax.random.fold_in(key, 3), use)
    earlier = () if known is None else (known.directions, known.normals)
    normals = standard_normals(key, (len(vectors), fan_in), vectors.dtype)

    def act(cotangents: jax.Array) -> tuple[jax.Array, Saved]:
        directions, factor = orthonormalize_rows(cotangents, *earlier[:1])
        along = _product(directions, rows.normals.T) - _product(normals, rows.directions.T)
        images = normals + _product(along, rows.directions)
        seen = jnp.concatenate([*earlier[1:], images])
        return _product(factor, seen), Saved(directions, images)

    return _by_factors(layer, fan_in, vectors, act, transposed=True)


def seen_rows(
    maps: TiedMaps | None, key: jax.Array, rows: Rows, layer: LinearLayer, known: Saved | None
) -> tuple[jax.Array, jax.Array | None, Saved | None]:
    """`row_use` of rows in the span of Q: s H Q^T N."""
    assert maps is not None
    if known is None:
        return *drawn_layer(explicit, maps.precision)(key, rows, layer), None

    def draw(key: jax.Array, rows: Rows, *settings: Any) -> jax.Array:
        del key, settings
        stacked = rows.stacked
        return _by_factors(layer, stacked.shape[1], stacked, _seen(known))[0]

    return *drawn_layer(draw, maps.precision)(key, rows, layer), known


def seen_cotangents(vectors: jax.Array, layer: LinearLayer, fan_in: int, known: Saved) -> jax.Array:
    """`cotangent_use` of cotangents in the span of P: s U P^T B."""
    return _by_factors(layer, fan_in, vectors, _seen(known), transposed=True)[0]


def _seen(known: Saved) -> Callable[[jax.Array], tuple[jax.Array, None]]:
    return lambda rows: (_product(_product(rows, known.directions.T), known.normals), None)


def _by_factors(
    layer: LinearLayer,
    fan_in: int,
    vectors: jax.Array,
    act: Callable[[jax.Array], tuple[jax.Array, Any]],
    *,
    transposed: bool = False,
) -> tuple[jax.Array, Any]:
    """Images by W = mean + s A Z B^T, or its transpose, where `act` has those by Z."""
    law, depth = layer.weight_law, layer.depth
    if isinstance(law, Law):
        images, new = act(vectors)
        return law.entry_std(fan_in, depth, vectors.dtype) * images, new
    mean, outer, inner = law.arrays(depth, vectors.dtype)
    first, last = (outer, inner) if transposed else (inner, outer)
    images, new = act(_product(vectors, first))
    images = _product(images, last.T)
    if mean is not None:
        images = images + _product(vectors, mean if transposed else mean.T)
    return images, new


def _product(first: jax.Array, second: jax.Array) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")
