"""Networks as programs: embedding, body and readout, for one shape of inputs."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from deepinit.core.laws import normal
from deepinit.core.layers.attention import Attention, AttentionMix, head_width_of, input_laws
from deepinit.core.layers.containers import (
    Block,
    Repeat,
    Residual,
    Sequential,
    Tied,
    child_paths,
    children,
    joined,
    kind_name,
    leaves,
)
from deepinit.core.layers.layer import Layer, Shape, output_shape
from deepinit.core.layers.linear import Conv, Dense, Embed
from deepinit.core.layers.neuronwise import Dropout


class Program(NamedTuple):
    """What engines interpret.

    Attributes:
        shape: of one input.
        embedding, readout: first and last linear maps, not measured with the body, or None.
        embedding_key, readout_key: numbers folded into their keys; None for the key itself.
        body: the measured layers.
        depth: L of laws with scaling `depth` and of residual scales.
    """

    shape: Shape
    embedding: Layer | None
    body: Layer
    readout: Layer | None
    embedding_key: int | None
    readout_key: int | None
    depth: int

    @property
    def body_shape(self) -> Shape:
        """Input of the body."""
        if self.embedding is None:
            return self.shape
        return output_shape(self.embedding, self.shape, "embedding")

    @property
    def last_shape(self) -> Shape:
        """Output of the body."""
        return output_shape(self.body, self.body_shape)

    @property
    def output_shape(self) -> Shape:
        """Output of the network."""
        if self.readout is None:
            return self.last_shape
        return output_shape(self.readout, self.last_shape, kind_name(self.readout))


def shape_of(inputs: Any) -> Shape:
    """Shape of one input of `Inputs`; frames and curves have no positions."""
    positions = getattr(inputs, "positions", ())
    channels = inputs.dimension // math.prod(positions)
    return Shape(positions, channels, getattr(inputs, "tokens", False))


class Site(NamedTuple):
    """One measured place of a body."""

    path: str
    layer: Layer
    shape: Shape  # of its input


def program(network: Any, shape: Shape) -> Program:
    """The program of a named architecture (`.layers`) or of a composed network.

    A final `Dense` of a composed `Sequential` is the readout.
    Raises SpecError: an input that does not fit.
    """
    if not isinstance(network, Layer):
        return network.layers(shape)
    output_shape(network, shape, "")
    body: Layer = network
    readout: Layer | None = None
    key: int | None = 0
    if isinstance(network, Sequential) and not isinstance(network, Block):
        *layers, last = network.layers
        if layers and type(last) is Dense:
            *keys, key = network.keys
            body, readout = Sequential(*layers, keys=tuple(keys)), last
    return Program(shape, None, body, readout, 0, key or 0, network_depth(network))


def network_depth(layer: Layer) -> int:
    """Number of residual layers, else of random linear layers; at least 1."""
    return _count(layer, (Residual,)) or _count(layer, (Dense, Conv)) or 1


def _count(layer: Layer, kinds: tuple[type, ...]) -> int:
    times = layer.times if isinstance(layer, Repeat | Tied) else 1
    own = isinstance(layer, kinds)
    return times * (own + sum(_count(child, kinds) for child in children(layer)))


def is_site(layer: Layer) -> bool:
    """Whether a layer is measured as one: all but Sequential and Repeat."""
    return isinstance(layer, Block) or not isinstance(layer, Sequential | Repeat)


def sites(layer: Layer, shape: Shape, path: str = "") -> Iterator[Site]:
    """The measured places, in order."""
    if is_site(layer):
        yield Site(path or kind_name(layer), layer, shape)
    elif isinstance(layer, Repeat):
        for number in range(1, layer.times + 1):
            inside = joined(path, str(number))
            yield from sites(layer.layer, shape, inside)
            shape = output_shape(layer.layer, shape, inside)
    else:
        assert isinstance(layer, Sequential)
        for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
            yield from sites(child, shape, child_path)
            shape = output_shape(child, shape, child_path)


def expanded(layer: Layer, shape: Shape) -> Layer:
    """A layer in terms of simpler ones, if it has such."""
    if isinstance(layer, Embed):
        return Dense(layer.width, layer.law)
    if not isinstance(layer, Attention):
        return layer
    assert shape.width is not None
    width, laws = head_width_of(layer, shape.width), input_laws(layer)
    inner = layer.heads * width
    law, scales = laws[0], (1.0, 1.0, 1.0)
    if any(other != law for other in laws):
        query, key, value = (other.variance**0.5 for other in laws)
        law, scales = normal(1.0, law.scaling), (query, key, value)
    return Sequential(
        Dense(3 * inner, law),
        AttentionMix(layer, width, scales),
        Dense(shape.width, layer.output_law),
    )


def has_own_masks(layer: Layer) -> bool:
    """Whether dropout masks are independent across inputs."""
    drops = (leaf for leaf in leaves(layer) if isinstance(leaf, Dropout))
    return any(leaf.rate > 0 and not leaf.shared for leaf in drops)
