"""Random linear maps that are used several times, in the exact joint law.

After uses on rows that span Q [r, fan_in], with images N [r, fan_out] (standard normals), rows
H = A Q + L Q', Q' orthonormal and orthogonal to Q, have images s (A N + L N') with new normals N'.
"""

from collections.abc import Callable
from typing import Any

import jax

from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.linear_maps import (
    auto,
    conditional,
    conditional_with_residuals,
    explicit,
    is_conditional,
)
from deepinit.networks.rows import Rows

LayerFn = Callable[[jax.Array, Rows, LinearLayer], tuple[Any, jax.Array | None]]
TiedFn = Callable[..., tuple[jax.Array, jax.Array | None, Any, Any]]


def tied_layer(
    drawn_layer: Callable[[Callable[..., Any], str], LayerFn],
    linear_map: Callable[..., jax.Array],
    precision: str,
) -> TiedFn | None:
    """`(key, rows, layer, times, use, known) -> (images, bias, (), known)`; None: draw W again.

    `known` are directions and normals of earlier uses. `times` None: an unknown number of uses,
    explicit.
    """
    if linear_map not in (conditional, auto):
        return None
    again = drawn_layer(explicit, precision)

    def layer_fn(
        key: jax.Array, rows: Rows, layer: LinearLayer, times: int | None, use: Any, known: Any
    ) -> tuple[jax.Array, jax.Array | None, Any, Any]:
        law, (num_rows, fan_in) = layer.weight_law, rows.stacked.shape
        if linear_map is auto and (
            times is None or not is_conditional(law, times * num_rows, fan_in)
        ):
            return *again(key, rows, layer), (), ()
        if times is None or (isinstance(law, Law) and law.is_haar):
            given = "conditional maps of a Tied layer with " + (
                "a Repeat or Tied inside" if times is None else f"the law {law.name!r}"
            )
            remedy = "Leave linear_map out."
            raise SpecError(given, "linear_map='explicit' or 'auto' for this network", remedy)

        def draw(key: jax.Array, rows: Rows, *settings: Any) -> Any:
            key = key if known is None else jax.random.fold_in(key, use)
            law, fan_out, depth, precision = settings
            return conditional_with_residuals(key, rows, law, fan_out, depth, precision, known)

        (images, more), bias = drawn_layer(draw, precision)(key, rows, layer)
        return images, bias, (), more

    return layer_fn


def tied_backward(name: str, explicit: Callable[..., tuple[Any, Any, Any]]) -> TiedFn | None:
    """Of the backward pass: explicit; SpecError for `conditional`, which needs both sides."""

    def layer_fn(
        key: jax.Array, rows: Rows, layer: LinearLayer, times: int | None, use: Any, known: Any
    ) -> tuple[jax.Array, jax.Array | None, Any, Any]:
        del times, use, known
        if name == "conditional":
            given = "gradients through a Tied layer with conditional maps"
            raise SpecError(given, "linear_map='explicit' or 'auto'", "Leave linear_map out.")
        return *explicit(key, rows, layer), ()

    return None if name == "explicit" else layer_fn
