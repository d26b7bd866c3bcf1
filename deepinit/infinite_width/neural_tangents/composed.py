"""Networks of `di.layers` as layers of neural-tangents' `stax`, one rule a kind."""

from collections.abc import Callable
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.layers.containers import Repeat, Residual, Sequential, kind_name
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.core.layers.linear import Conv, Dense
from deepinit.core.layers.neuronwise import Activation
from deepinit.core.layers.norms import LayerNorm
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.core.layers.program import network_depth
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.infinite_width.neural_tangents.layers import stax_activation
from deepinit.infinite_width.rules_table import entry_variance

Rule = Callable[[Any, Shape, int], Any]


def composed_stax_network(net: Layer, shape: Shape) -> Any:
    """(init_fn, apply_fn, kernel_fn) of a composed network on [num, *positions, channels].

    Raises SpecError: a layer that has no rule here, or that `stax` has in another sense.
    """
    return _stax(net, shape, network_depth(net))


def _stax(layer: Layer, shape: Shape, depth: int) -> Any:
    rule = _RULES.get(type(layer))
    if rule is None:
        raise _refusal(layer, "no counterpart")
    return rule(layer, shape, depth)


def _refusal(layer: Layer, what: str) -> SpecError:
    allowed = "Dense, Conv, Activation, LayerNorm(gain=False), Residual, Repeat, Pool, Flatten"
    given = f"{kind_name(layer)} for neural-tangents, with {what}"
    return SpecError(given, allowed, "di.infinite has its kernels.")


def _sequential(layer: Sequential, shape: Shape, depth: int) -> Any:
    parts = []
    for child in layer.layers:
        parts.append(_stax(child, shape, depth))
        shape = output_shape(child, shape, "")
    return neural_tangents().stax.serial(*parts)


def _repeat(layer: Repeat, shape: Shape, depth: int) -> Any:
    return neural_tangents().stax.repeat(_stax(layer.layer, shape, depth), layer.times)


def _residual(layer: Residual, shape: Shape, depth: int) -> Any:
    stax = neural_tangents().stax
    if layer.scale != 1.0:
        raise _refusal(layer, "a scale")
    if not all(_is_fresh(part) for part in (layer.branch, layer.skip) if part is not None):
        raise _refusal(layer, "a branch that does not end in fresh weights")
    skip = stax.Identity() if layer.skip is None else _stax(layer.skip, shape, depth)
    branches = stax.parallel(skip, _stax(layer.branch, shape, depth))
    return stax.serial(stax.FanOut(2), branches, stax.FanInSum())


def _is_fresh(layer: Layer) -> bool:
    """Whether a layer ends in a random linear map: independent and centred."""
    last = layer.layers[-1] if isinstance(layer, Sequential) and layer.layers else layer
    return type(last) in (Dense, Conv)


def _dense(layer: Dense, shape: Shape, depth: int) -> Any:
    if shape.positions:
        raise _refusal(layer, "positions")
    assert shape.width is not None
    weight = entry_variance(layer, "law", shape.width, depth, "") * shape.width
    bias = entry_variance(layer, "bias", 1, depth, "", gaussian=True)
    return neural_tangents().stax.Dense(1, W_std=weight**0.5, b_std=bias**0.5 or None)


def _conv(layer: Conv, shape: Shape, depth: int) -> Any:
    dimensions = len(shape.positions or ())
    fan_in = (shape.width or 0) * layer.size**dimensions
    weight = entry_variance(layer, "law", fan_in, depth, "") * fan_in
    bias = entry_variance(layer, "bias", 1, depth, "", gaussian=True)
    places = "HW"[:dimensions]
    return neural_tangents().stax.Conv(
        1,
        (layer.size,) * dimensions,
        (layer.stride,) * dimensions,
        {"circular": "CIRCULAR", "zero": "SAME", "valid": "VALID"}[layer.padding],
        W_std=weight**0.5,
        b_std=bias**0.5 or None,
        dimension_numbers=(f"N{places}C", f"{places}IO", f"N{places}C"),
    )


def _norm(layer: LayerNorm, shape: Shape, depth: int) -> Any:
    if layer.gain:
        raise _refusal(layer, "trained gains")
    return neural_tangents().stax.LayerNorm(eps=layer.eps)


def _pool(layer: Pool, shape: Shape, depth: int) -> Any:
    if layer.kind != "mean" or layer.size is not None:
        raise _refusal(layer, "windows or maxima")
    return neural_tangents().stax.GlobalAvgPool()


_RULES: dict[type, Rule] = {
    Sequential: _sequential,
    Repeat: _repeat,
    Residual: _residual,
    Dense: _dense,
    Conv: _conv,
    Activation: lambda layer, shape, depth: stax_activation(layer.phi),
    LayerNorm: _norm,
    Pool: _pool,
    Flatten: lambda layer, shape, depth: neural_tangents().stax.Flatten(),
}
