"""Changes of layers that may make a network train."""

import dataclasses
from typing import Any

import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.layers import (
    Activation,
    Attention,
    BatchNorm,
    Conv,
    Dense,
    Embed,
    GroupNorm,
    Layer,
    LayerNorm,
    Repeat,
    Residual,
    RMSNorm,
    Sequential,
    Shape,
    output_shape,
)
from deepinit.core.specs import MLP, NetworkSpec
from deepinit.diagnosis.stacks import composed, folded, mapped, parts_of, readout_of, unrolled
from deepinit.init import Laws, Place
from deepinit.init.rewrite import changed as with_laws
from deepinit.init.rewrite import input_shape

_NORMS = (LayerNorm, RMSNorm, BatchNorm, GroupNorm)


def residual(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """Residual branches scaled by 1/sqrt(L), L their number.

    Each activation with the dense or convolution layer behind it, and a norm before it, becomes a
    branch where the shape stays: z + (b + W phi(z)) / sqrt(L). Networks with residual layers keep
    them, at this scale.

    Raises SpecError: no layer keeps its shape.
    """
    net = composed(network, inputs)
    if any(isinstance(part, Residual) for part in parts_of(net)):
        scaled = lambda part: (
            dataclasses.replace(part, scale="1/sqrt(depth)") if isinstance(part, Residual) else part
        )
        return mapped(net, scaled)
    parts = unrolled(net)
    readout = [parts.pop()] if readout_of(net) is not None else []
    found, shape = [], input_shape(inputs)
    while parts:
        size = _branch_size(parts, shape)
        branch, parts = parts[: size or 1], parts[size or 1 :]
        found.append(Residual(Sequential(*branch), None, "1/sqrt(depth)") if size else branch[0])
        for part in branch:
            shape = output_shape(part, shape)
    if not any(isinstance(part, Residual) for part in found):
        allowed = "an activation and a linear layer that keep their shape"
        raise SpecError("no layer that can be a branch", allowed, "Take equal widths.")
    return folded([*found, *readout])


def norm(network: NetworkSpec, inputs: Any) -> NetworkSpec:
    """LayerNorm before every activation, or first in every residual branch.

    chi_perp becomes E phi'^2 / E phi^2 at unit variance: chaotic for GELU, SiLU, tanh (1.07, 1.07,
    1.18 per layer). Layers behind a norm stay.
    """

    def changed(layer: Layer, in_branch: bool) -> Any:
        if isinstance(layer, Residual):
            branch = changed(layer.branch, True)
            first = branch.layers[0] if isinstance(branch, Sequential) else branch
            if not isinstance(first, _NORMS):
                branch = Sequential(LayerNorm(), branch)
            return dataclasses.replace(layer, branch=branch)
        if isinstance(layer, Repeat):
            return dataclasses.replace(layer, layer=changed(layer.layer, in_branch))
        if not isinstance(layer, Sequential):
            return layer
        parts: list[Layer] = []
        for child in layer.layers:
            behind_norm = bool(parts) and isinstance(parts[-1], _NORMS)
            if isinstance(child, Activation) and not (in_branch or behind_norm):
                parts.append(LayerNorm())
            parts.append(changed(child, in_branch))
        grows = len(parts) > len(layer.layers)
        keys = None if grows else layer.keys
        return type(layer)(*parts, name=layer.name, keys=_block_keys(layer, parts) or keys)

    return changed(composed(network, inputs), False)


def width(network: NetworkSpec, inputs: Any, factor: int = 2) -> NetworkSpec:
    """Widths times an integer; weight variances times fan_in stay. Depth/width falls.

    Outputs and positions stay; heads of attention keep their number.
    """
    factor = validate.integer("factor", factor, 1)
    law: Any = getattr(network, "weight_law", None)
    if isinstance(network, MLP) and law.scaling != "absolute":
        return dataclasses.replace(network, widths=tuple(factor * n for n in network.widths))
    net = composed(network, inputs)
    last = readout_of(net)

    def wider(layer: Layer) -> Layer:
        if isinstance(layer, Conv):
            return dataclasses.replace(layer, channels=factor * layer.channels)
        if isinstance(layer, Dense | Embed):
            return dataclasses.replace(layer, width=factor * layer.width)
        if isinstance(layer, Attention) and layer.head_width is not None:
            return dataclasses.replace(layer, head_width=factor * layer.head_width)
        return layer

    body = net if last is None else Sequential(*net.layers[:-1], name=net.name)
    parts = mapped(body, wider)
    if last is not None:
        parts = Sequential(*parts.layers, last, name=net.name, keys=net.keys)
    fans = iter([place.fan_in for place in _in_order(net, inputs)])

    def scheme(place: Place, own: Laws) -> Laws:
        before = next(fans)
        law = own.weight
        if law.scaling != "absolute" or place.kind in ("embed", "positions"):
            return own
        return own._replace(
            weight=dataclasses.replace(law, variance=law.variance * before / place.fan_in)
        )

    return with_laws(parts, scheme, inputs)


def depth(network: NetworkSpec, inputs: Any, layers: int) -> NetworkSpec:
    """At most `layers` hidden layers (repeats of the longest Repeat): depth/width falls.

    An MLP keeps its first and last width.
    """
    layers = validate.integer("layers", layers, 1)
    if isinstance(network, MLP):
        kept = np.linspace(0, network.depth - 1, min(layers, network.depth)).round().astype(int)
        return dataclasses.replace(network, widths=tuple(network.widths[at] for at in kept))
    net = composed(network, inputs)
    most = max((part.times for part in parts_of(net) if isinstance(part, Repeat)), default=0)
    if not most:
        given = "a network without a Repeat"
        raise SpecError(given, "an MLP, or di.layers.Repeat(block, times)", "Shorten it by hand.")

    def shorter(layer: Layer) -> Layer:
        if isinstance(layer, Repeat) and layer.times == most:
            return dataclasses.replace(layer, times=min(layers, most))
        return layer

    return mapped(net, shorter)


def _branch_size(parts: list[Layer], shape: Shape) -> int:
    """Layers of [norm] activation, linear at the start that keep the shape; else 0."""
    start = 1 if isinstance(parts[0], _NORMS) else 0
    kinds = [type(part) for part in parts[start : start + 2]]
    if kinds not in ([Activation, Dense], [Activation, Conv]):
        return 0
    after = shape
    for part in parts[: start + 2]:
        after = output_shape(part, after)
    return start + 2 if after == shape else 0


def _block_keys(layer: Sequential, parts: list[Layer]) -> tuple[int | None, ...] | None:
    """Children of equal keys (a Block of one random layer) stay so."""
    if len(parts) > len(layer.layers) and set(layer.keys) == {None}:
        return (None,) * len(parts)
    return None


def _in_order(network: NetworkSpec, inputs: Any) -> list[Place]:
    found: list[Place] = []

    def record(place: Place, own: Laws) -> Laws:
        found.append(place)
        return own

    with_laws(network, record, inputs)
    return found
