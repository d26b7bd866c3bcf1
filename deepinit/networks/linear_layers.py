"""Random linear layers, resolved: fan-out, laws, view."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from deepinit.core.laws import Law
from deepinit.core.layers import Conv, Dense, MeanDense, Shape
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.networks.rows import Rows
from deepinit.networks.views import View


class LinearLayer(NamedTuple):
    """One random linear map in a network of this depth."""

    fan_out: int
    weight_law: Law | MatrixLaw
    bias_law: Law | MatrixLaw | None
    depth: int
    view: View | None = None


def linear_layer(layer: Any, shape: Shape, depth: int) -> LinearLayer:
    """The map of a `Dense` or `Conv` layer at inputs of this shape."""
    assert shape.positions is not None
    if isinstance(layer, Conv):
        assert layer.law is not None
        patches = View(shape.positions, layer.size, layer.padding, layer.stride)
        return LinearLayer(layer.channels, layer.law, layer.bias, depth, patches)
    assert isinstance(layer, Dense)
    assert layer.law is not None
    pixels = View(shape.positions, 1) if shape.positions else None
    view = View(shape.positions, None) if isinstance(layer, MeanDense) else pixels
    return LinearLayer(layer.width, layer.law, layer.bias, depth, view)


def drawn_layer(linear_map: Callable[..., Any], precision: str) -> Callable[..., Any]:
    """`(key, rows, layer) -> (result of linear_map, bias or None)`, weights and biases drawn."""

    def layer_fn(key: jax.Array, rows: Rows, layer: LinearLayer) -> tuple[Any, jax.Array | None]:
        fan_out, law, depth = layer.fan_out, layer.weight_law, layer.depth
        images = linear_map(jax.random.fold_in(key, 0), rows, law, fan_out, depth, precision)
        if layer.bias_law is None:
            return images, None
        bias_key, dtype = jax.random.fold_in(key, 1), rows.points.dtype
        bias = layer.bias_law.sample(bias_key, (fan_out, 1), depth=depth, dtype=dtype)
        return images, bias[:, 0]

    return layer_fn
