"""A network with the laws of an initialization: a transformation of the tree of layers."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.inputs import as_inputs
from deepinit.core.layers import (
    Attention,
    Conv,
    Dense,
    Embed,
    Layer,
    MeanDense,
    Pool,
    Positions,
    Program,
    Repeat,
    Residual,
    Sequential,
    Shape,
    Tied,
    output_shape,
    parameters,
    program,
    shape_of,
)
from deepinit.core.layers.containers import children, leaves
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.init.place import Laws, Place, Scheme

Change = Callable[[Place, Laws], Laws]


class _Around(NamedTuple):
    """What a layer of a network needs to know of the rest."""

    is_first: bool
    residual_layers: int
    branch_maps: int = 0
    seen: int = 0  # linear maps of the branch before this layer


def apply(network: NetworkSpec, scheme: Scheme, inputs: Any) -> NetworkSpec:
    """The network with the laws of a scheme.

    Args:
        network: a spec, or a network of `di.layers`.
        scheme: `Place -> Laws`, or None to keep a law: `di.init.keras()`, or a function of one's
            own.
        inputs: `Inputs`, rows, or the number of entries of one input.

    Returns:
        An MLP if the laws of its hidden layers are equal; other specs as networks of `di.layers`.
        A Repeat whose first layer has a law of its own becomes that layer and a Repeat.

    Raises SpecError: an input that does not fit; a scheme that refuses a layer.

    ```python
    net = di.init.apply(di.MLP((100,) * 50, "relu", output_width=10), di.init.pytorch(), 784)
    ```
    """
    if not callable(scheme):
        raise SpecError(f"scheme={scheme!r:.80}", "a function of places", "di.init.keras().")
    return changed(network, lambda place, own: scheme(place) or own, rows_or_size(inputs))


def changed(network: NetworkSpec, change: Change, inputs: Any) -> NetworkSpec:
    """`apply` with a function of a place and its present laws."""
    whole = program(network, input_shape(inputs))
    around = _Around(True, _residual_layers(whole.body))
    embedding = whole.embedding
    if embedding is not None:
        embedding, around = _changed(embedding, whole.shape, change, around)
    body, around = _changed(whole.body, whole.body_shape, change, around)
    readout = whole.readout
    if readout is not None:
        place = _linear_place(readout, whole.last_shape, around)
        readout = _with_laws(readout, place._replace(is_readout=True), change)
    parts = whole._replace(embedding=embedding, body=body, readout=readout)
    if isinstance(network, MLP):
        return _as_mlp(network, parts) or as_layer(parts)
    if isinstance(network, Sequential) and readout is not None:
        assert isinstance(body, Sequential)
        return Sequential(*body.layers, readout, name=network.name, keys=network.keys)
    return body if isinstance(network, Layer) else as_layer(parts)


def rows_or_size(inputs: Any) -> Any:
    """`Inputs` of arrays and nested lists; sizes and shapes unchanged."""
    return inputs if isinstance(inputs, Shape) else as_inputs(inputs)


def input_shape(inputs: Any) -> Shape:
    """Shape of one input: of `Inputs`, or a vector of the given size."""
    if isinstance(inputs, Shape):
        return inputs
    size = validate.whole_number(inputs) if validate.is_number(inputs) else None
    if size is not None:
        return Shape((), validate.integer("inputs", size, 1, "Entries of one input."))
    if not hasattr(inputs, "dimension"):
        given = f"inputs of type {type(inputs).__name__}"
        raise SpecError(given, "Inputs, or the entries of one input", "Write 784.")
    return shape_of(inputs)


def as_layer(parts: Program) -> Sequential:
    """A program as one network of layers."""
    body = parts.body.layers if isinstance(parts.body, Sequential) else (parts.body,)
    before = () if parts.embedding is None else (parts.embedding,)
    after: tuple[Layer, ...] = () if parts.readout is None else (parts.readout,)
    if isinstance(parts.readout, MeanDense):
        dense = Dense(parts.readout.width, parts.readout.law, parts.readout.bias)
        after = (Pool("mean"), dense)
    return Sequential(*before, *body, *after)


def places(network: NetworkSpec, inputs: Any) -> tuple[Place, ...]:
    """Random arrays of a network, in order; those of a Repeat once, its first apart."""
    found: list[Place] = []

    def scheme(place: Place) -> Laws | None:
        found.append(place)
        return None

    apply(network, scheme, inputs)
    return tuple(dict.fromkeys(found))


def _changed(layer: Layer, shape: Shape, change: Change, around: _Around) -> tuple[Any, _Around]:
    """The layer with its laws, and what the next one needs to know."""
    if isinstance(layer, Sequential):
        parts = []
        for child in layer.layers:
            part, around = _changed(child, shape, change, around)
            parts.append(part)
            shape = output_shape(child, shape)
        return type(layer)(*parts, name=layer.name, keys=layer.keys), around
    if isinstance(layer, Residual):
        inside = around._replace(branch_maps=_num_maps(layer.branch), seen=0)
        branch, _ = _changed(layer.branch, shape, change, inside)
        skip = layer.skip
        if skip is not None:
            skip, _ = _changed(skip, shape, change, around)
        after = around._replace(is_first=False)
        return dataclasses.replace(layer, branch=branch, skip=skip), after
    if isinstance(layer, Repeat | Tied):
        return _repeated(layer, shape, change, around)
    if isinstance(layer, Attention):
        return _attention(layer, shape, change, around)
    if isinstance(layer, Dense | Conv | Embed | Positions):
        place = _linear_place(layer, shape, around)
        new = _with_laws(layer, place, change) if place.fan_in else layer
        seen = around.seen + isinstance(layer, Dense | Conv)
        return new, around._replace(is_first=False, seen=seen)
    return layer, around


def _repeated(
    layer: Repeat | Tied, shape: Shape, change: Change, around: _Around
) -> tuple[Layer, _Around]:
    first, after = _changed(layer.layer, shape, change, around)
    rest, after = _changed(layer.layer, shape, change, after)
    if rest == first or layer.times == 1 or isinstance(layer, Tied):
        return dataclasses.replace(layer, layer=first), after
    others = Repeat(rest, layer.times - 1, layer.name, layer.first + 1)
    return Sequential(first, others, name=f"{layer.name}s"), after


def _linear_place(layer: Any, shape: Shape, around: _Around) -> Place:
    arrays = parameters(layer, shape)
    rows, fan_in = arrays[0].shape if arrays else (0, 0)
    kind = type(layer).__name__.lower().removeprefix("mean")
    patch = layer.size ** len(shape.positions or ()) if isinstance(layer, Conv) else 1
    return _place(kind, rows, fan_in, around, patch=patch)


def _place(kind: Any, rows: int, fan_in: int, around: _Around, patch: int = 1) -> Place:
    ends = around.branch_maps > 0 and around.seen == around.branch_maps - 1
    return Place(
        kind,
        rows,
        fan_in,
        patch,
        is_first=around.is_first,
        residual_layers=around.residual_layers,
        branch_maps=around.branch_maps,
        ends_branch=ends,
    )


def _attention(
    layer: Attention, shape: Shape, change: Change, around: _Around
) -> tuple[Layer, _Around]:
    """Queries, keys and values are one map, outputs the next."""
    laws: dict[str, Any] = {}
    for array in parameters(layer, shape):
        after = around._replace(seen=around.seen + (array.name == "output"))
        rows, fan_in = array.shape
        place = _place(array.name, rows, fan_in, after)._replace(heads=layer.heads)
        laws[f"{array.name}_law"] = change(place, Laws(array.law)).weight
    seen = around.seen + 2
    return dataclasses.replace(layer, **laws), around._replace(is_first=False, seen=seen)


def _with_laws(layer: Any, place: Place, change: Change) -> Any:
    laws = change(place, Laws(layer.law, getattr(layer, "bias", None)))
    if isinstance(layer, Embed | Positions):
        return dataclasses.replace(layer, law=laws.weight)
    return dataclasses.replace(layer, law=laws.weight, bias=laws.bias)


def _num_maps(layer: Layer) -> int:
    own = {Dense: 1, MeanDense: 1, Conv: 1, Attention: 2}.get(type(layer), 0)
    times = layer.times if isinstance(layer, Repeat | Tied) else 1
    return own + times * sum(_num_maps(child) for child in children(layer))


def _residual_layers(layer: Layer) -> int:
    times = layer.times if isinstance(layer, Repeat | Tied) else 1
    inside = sum(_residual_layers(child) for child in children(layer))
    return times * (isinstance(layer, Residual) + inside)


def _as_mlp(spec: MLP, parts: Program) -> MLP | None:
    """The spec, if one law of hidden weights and one of biases serve."""
    hidden = [leaf for leaf in leaves(parts.body) if isinstance(leaf, Dense)]
    biases = [leaf.bias for leaf in hidden]
    readout: Any = parts.readout
    if readout is not None:
        biases.append(readout.bias)
    if len({leaf.law for leaf in hidden}) > 1 or len(set(biases)) > 1:
        return None
    laws: dict[str, Any] = {"weight_law": hidden[0].law, "bias_law": biases[0]}
    if readout is not None:
        laws["output_law"] = readout.law
    return dataclasses.replace(spec, **laws)
