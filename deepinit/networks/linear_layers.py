"""Random linear layers, resolved: fan-out, laws, view."""

from typing import Any, NamedTuple

from deepinit.core.laws import Law
from deepinit.core.layers import Conv, Dense, MeanDense, Shape
from deepinit.core.matrix_laws import MatrixLaw
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
