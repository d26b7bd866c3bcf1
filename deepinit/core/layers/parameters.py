"""Parameters of layers: weights, biases, gains."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from deepinit.core.curves import SampledCurve
from deepinit.core.laws import Law
from deepinit.core.layers.attention import Attention, AttentionMix, Positions, head_width_of
from deepinit.core.layers.containers import (
    Repeat,
    Residual,
    Sequential,
    Tied,
    child_paths,
    joined,
    kind_name,
)
from deepinit.core.layers.layer import Layer, Shape, Table, output_shape, refuse
from deepinit.core.layers.linear import Conv, Dense, Embed, MeanDense
from deepinit.core.layers.neuronwise import Activation, Dropout, Gate
from deepinit.core.layers.norms import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.core.layers.program import program, shape_of
from deepinit.core.matrix_laws import MatrixLaw


class Parameter(NamedTuple):
    """One array of parameters, [fan_out, fan_in] of a matrix.

    `law`: at initialization; None for gains (1) and biases of norms (0). `positions`: of one input
    that a matrix acts on; None for other arrays, and for the vectors of tokens and positions.
    """

    name: str
    shape: tuple[int, ...]
    law: Law | MatrixLaw | None = None
    positions: int | None = None

    @property
    def size(self) -> int:
        """Number of entries."""
        count = 1
        for length in self.shape:
            count *= length
        return count


class Leaf(NamedTuple):
    """A layer without children at its place in a network.

    `path`: `block.1..12.attention.branch.layernorm` in a Repeat of 12. `shape`: of its input.
    `times`: copies with independent parameters; `uses`: of the same parameters (`Tied`).
    """

    path: str
    layer: Layer
    shape: Shape
    times: int = 1
    uses: int = 1


ParameterRule = Callable[[Any, Shape], tuple[Parameter, ...]]
PARAMETERS: Table[ParameterRule] = Table("parameters")


def parameters(layer: Layer, shape: Shape, path: str = "") -> tuple[Parameter, ...]:
    """Parameters of a layer without children at inputs of this shape."""
    return PARAMETERS.find(layer, path)(layer, shape)


def num_parameters(network: Any, inputs: Any) -> int:
    """Number of parameters of a network; distinct tokens count for `Embed`.

    `inputs`: `Inputs`, or the `Shape` of one.
    Raises SpecError: an input that does not fit.
    """
    return sum(
        leaf.times * parameter.size
        for leaf in placed_leaves(network, inputs)
        for parameter in parameters(leaf.layer, leaf.shape, leaf.path)
    )


def placed_leaves(network: Any, inputs: Any) -> list[Leaf]:
    """Layers without children in order, of a Repeat once; SpecError for unfit inputs."""
    shape = inputs if isinstance(inputs, Shape) else shape_of(inputs)
    whole = program(network, shape)
    if isinstance(network, Layer):
        return list(_placed(Leaf("", network, shape)))
    parts = (
        Leaf("embedding", whole.embedding, whole.shape) if whole.embedding else None,
        Leaf("", whole.body, whole.body_shape),
        Leaf("readout", whole.readout, whole.last_shape) if whole.readout else None,
    )
    return [leaf for part in parts if part is not None for leaf in _placed(part)]


def check_batches(network: Any, inputs: Any) -> None:
    """Refuse, by path, BatchNorm of one row: inputs (points and partners) x positions."""
    if isinstance(inputs, SampledCurve):
        num_inputs = inputs.num_nodes
    else:
        num_inputs = len(inputs.points) + getattr(inputs, "num_pairs", 0)  # frames have none
    for leaf in placed_leaves(network, inputs):
        alone = num_inputs * leaf.shape.num_positions == 1
        if alone and isinstance(leaf.layer, BatchNorm):
            given, remedy = "a batch of one row", "Take di.inputs.points(rows), or LayerNorm."
            raise refuse(leaf.path, leaf.layer, given, "two rows or more", remedy)


def _placed(part: Leaf) -> Iterator[Leaf]:
    path, layer, shape = part[:3]
    if isinstance(layer, Sequential):
        for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
            yield from _placed(part._replace(path=child_path, layer=child, shape=shape))
            shape = output_shape(child, shape, child_path)
    elif isinstance(layer, Residual):
        yield from _placed(part._replace(path=joined(path, "branch"), layer=layer.branch))
        if layer.skip is not None:
            yield from _placed(part._replace(path=joined(path, "skip"), layer=layer.skip))
    elif isinstance(layer, Repeat | Tied):
        numbers = "1" if layer.times == 1 else f"1..{layer.times}"
        path = joined(path or kind_name(layer), numbers)
        inside = part._replace(path=path, layer=layer.layer)
        if isinstance(layer, Repeat):
            yield from _placed(inside._replace(times=part.times * layer.times))
        else:
            yield from _placed(inside._replace(uses=part.uses * layer.times))
    else:
        yield part._replace(path=path or kind_name(layer))


def _matrix(name: str, fan_out: int, fan_in: int, law: Any, positions: int) -> Parameter:
    return Parameter(name, (fan_out, fan_in), law, positions)


def _weight_and_bias(
    layer: Any, fan_out: int, fan_in: int, positions: int
) -> tuple[Parameter, ...]:
    weight = _matrix("weight", fan_out, fan_in, layer.law, positions)
    return (weight,) if layer.bias is None else (weight, Parameter("bias", (fan_out,), layer.bias))


@PARAMETERS.rule(Dense)
def _dense(layer: Dense, shape: Shape) -> tuple[Parameter, ...]:
    return _weight_and_bias(layer, layer.width, shape.width or 0, shape.num_positions)


@PARAMETERS.rule(MeanDense)
def _mean_dense(layer: MeanDense, shape: Shape) -> tuple[Parameter, ...]:
    return _weight_and_bias(layer, layer.width, shape.width or 0, 1)


@PARAMETERS.rule(Conv)
def _conv(layer: Conv, shape: Shape) -> tuple[Parameter, ...]:
    patch = layer.size ** len(shape.positions or ())
    positions = output_shape(layer, shape).num_positions
    return _weight_and_bias(layer, layer.channels, patch * (shape.width or 0), positions)


@PARAMETERS.rule(Embed)
def _embed(layer: Embed, shape: Shape) -> tuple[Parameter, ...]:
    return (Parameter("weight", (layer.width, shape.width or 0), layer.law),)


@PARAMETERS.rule(Positions)
def _positions(layer: Positions, shape: Shape) -> tuple[Parameter, ...]:
    if layer.kind != "learned":
        return ()
    return (Parameter("positions", (shape.num_positions, shape.width or 0), layer.law),)


@PARAMETERS.rule(Attention)
def _attention(layer: Attention, shape: Shape) -> tuple[Parameter, ...]:
    width, count = shape.width or 0, shape.num_positions
    inner = layer.heads * head_width_of(layer, width)
    return (
        _matrix("query", inner, width, layer.query_law, count),
        _matrix("key", inner, width, layer.key_law, count),
        _matrix("value", inner, width, layer.value_law, count),
        _matrix("output", width, inner, layer.output_law, count),
    )


@PARAMETERS.rule(RMSNorm)
def _gain(layer: RMSNorm, shape: Shape) -> tuple[Parameter, ...]:
    return (Parameter("gain", (shape.width or 0,)),) if layer.gain else ()


@PARAMETERS.rule(LayerNorm, BatchNorm, GroupNorm)
def _gain_and_bias(layer: LayerNorm | BatchNorm | GroupNorm, shape: Shape) -> tuple[Parameter, ...]:
    size = (shape.width or 0,)
    return (Parameter("gain", size), Parameter("bias", size)) if layer.gain else ()


@PARAMETERS.rule(Activation, AttentionMix, Dropout, Flatten, Gate, Pool)
def _none(layer: Layer, shape: Shape) -> tuple[Parameter, ...]:
    del layer, shape
    return ()
