"""Programs of layers as layers of neural-tangents' `stax`, one rule a kind."""

from collections.abc import Callable
from typing import Any

from deepinit.core.activations import linear
from deepinit.core.errors import SpecError
from deepinit.core.layers.containers import Repeat, Residual, Sequential, kind_name
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.core.layers.linear import Conv, Dense, MeanDense
from deepinit.core.layers.neuronwise import Activation
from deepinit.core.layers.norms import LayerNorm
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.core.layers.program import Program
from deepinit.infinite_width.neural_tangents import neural_tangents
from deepinit.infinite_width.neural_tangents.layers import stax_activation
from deepinit.infinite_width.rules_table import entry_variance

Rule = Callable[[Any, Shape, int], Any]


def stax_program(net: Program) -> Any:
    """(init_fn, apply_fn, kernel_fn) of a program on [num, *positions, channels].

    Raises SpecError: a layer that has no rule here, or that `stax` has in another sense.
    """
    places = (net.embedding, net.shape), (net.body, net.body_shape), (net.readout, net.last_shape)
    parts = [_stax(layer, shape, net.depth) for layer, shape in places if layer is not None]
    return neural_tangents().stax.serial(*parts)


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
    parts = layer.layers if isinstance(layer, Sequential) else (layer,)
    last = [part for part in parts if part != Activation(linear)][-1:]
    return bool(last) and type(last[0]) in (Dense, Conv)


def _dense(layer: Dense, shape: Shape, depth: int) -> Any:
    if shape.positions:
        return _conv(Conv(layer.width, 1, law=layer.law, bias=layer.bias), shape, depth)
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


def _activation(layer: Activation, shape: Shape, depth: int) -> Any:
    # the identity of linear ones keeps columns Gaussian
    return neural_tangents().stax.Identity() if layer.phi == linear else stax_activation(layer.phi)


def _mean_dense(layer: MeanDense, shape: Shape, depth: int) -> Any:
    stax = neural_tangents().stax
    flat = shape._replace(positions=())
    return stax.serial(stax.GlobalAvgPool(), _dense(layer, flat, depth))


_RULES: dict[type, Rule] = {
    Sequential: _sequential,
    Repeat: _repeat,
    Residual: _residual,
    Dense: _dense,
    MeanDense: _mean_dense,
    Conv: _conv,
    Activation: _activation,
    LayerNorm: _norm,
    Pool: _pool,
    Flatten: lambda layer, shape, depth: neural_tangents().stax.Flatten(),
}
