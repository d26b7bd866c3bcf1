"""Attention with the linear maps before it and behind it."""

from typing import Any

import numpy as np

from deepinit.core.layers import Attention, Dense, Layer, Shape, output_shape
from deepinit.reading.linear import linear
from deepinit.reading.pieces import Beside, Core, Matrix, Piece, Weights
from deepinit.reading.refusals import refusal

_Inputs = list[tuple[Weights, Any]]


def attended(
    core: Core, layers: list[Layer], sources: list[Any], rest: list[Piece], gaussianize: bool
) -> tuple[Layer, Any]:
    """The layer and its source; linear maps are taken from the layers before and from the rest."""
    if core.arms:
        laws, inputs = _separate(core, gaussianize)
    else:
        laws, inputs = _of_columns(core, layers, sources)
    width = inputs[0][0].matrix.fan_in
    if not rest or not isinstance(rest[0], Matrix):
        raise refusal(core.name, "attention without a linear map behind it")
    behind: Any = rest.pop(0)
    output: Any
    output, output_source = linear(behind, 1.0, rest, gaussianize)
    has_biases = output.bias is not None
    if has_biases or output.width != width or any(law.is_haar for law in laws):
        what = "attention to another width, with biases, or with orthogonal kernels"
        raise refusal(core.name, what, "kernels of independent entries, biases that start at 0")
    scores = {core.head_width**-0.5: "sqrt", 1 / core.head_width: "mup"}
    layer = Attention(
        core.heads,
        scores=scores.get(core.factor, core.factor),
        mask=core.mask,
        head_width=None if core.heads * core.head_width == width else core.head_width,
        query_law=laws[0],
        key_law=laws[1],
        value_law=laws[2],
        output_law=output.law,
    )
    output_shape(layer, Shape(None, width), core.name)  # refuses laws that do not mix
    if any(law != laws[0] for law in laws):  # engines draw these at variance 1
        pairs = zip(inputs, laws, strict=True)
        inputs = [
            (own._replace(factor=own.factor / law.variance**0.5), rows)
            for (own, rows), law in pairs
        ]
    return layer, (Beside(tuple(inputs)), None, output_source)


def _separate(core: Core, gaussianize: bool) -> tuple[list[Any], _Inputs]:
    """Laws and sources of three linear maps."""
    maps: list[Any] = [linear(arm, 1.0, [], gaussianize) for arm in core.arms]
    return [layer.law for layer, _ in maps], [(source, None) for _, source in maps]


def _of_columns(core: Core, layers: list[Layer], sources: list[Any]) -> tuple[list[Any], _Inputs]:
    """Laws and sources of parts of the linear map before, which is taken away."""
    before: Any = layers.pop() if layers else None
    source = sources.pop() if sources else None
    if type(before) is not Dense or before.bias is not None or not isinstance(source, Weights):
        what = "attention that does not follow a linear map whose biases start at 0"
        raise refusal(core.name, what)
    size = len(core.columns) // 3
    parts = [core.columns[place * size : (place + 1) * size] for place in range(3)]
    return [before.law] * 3, [(source, np.array(part)) for part in parts]
