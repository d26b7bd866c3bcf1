"""Pieces put together: laws of linear maps, with the biases and factors around them."""

from fractions import Fraction
from typing import Any

import numpy as np

from deepinit.core.laws import Law, constant
from deepinit.core.layers import Activation, Attention, Dense, Layer, Shape, output_shape
from deepinit.reading.functions import Times
from deepinit.reading.laws import Drawn
from deepinit.reading.pieces import (
    Array,
    Beside,
    Core,
    Factor,
    Function,
    Matrix,
    Nothing,
    Piece,
    Shift,
    Swap,
    Weights,
    Whole,
)
from deepinit.reading.refusals import refusal

_ROUNDING = 2e-7  # of a variance, whose standard deviation is a float32
_DENOMINATOR = 10_000


def assembled(
    pieces: tuple[Piece, ...], gaussianize: bool
) -> tuple[tuple[Layer, ...], tuple[Any, ...]]:
    """Layers, and the source of the parameters of each.

    Raises SpecError: biases without a linear map, laws that no layer has.
    """
    rest = [piece for piece in pieces if not isinstance(piece, Nothing)]
    layers: list[Layer] = []
    sources: list[Any] = []
    while rest:
        piece, factor = rest.pop(0), 1.0
        if isinstance(piece, Factor):
            factor = piece.number * _factors(rest)
            if not rest or not isinstance(rest[0], Matrix):
                layers.append(Activation(_times(factor)))
                sources.append(None)
                continue
            piece = rest.pop(0)
        if isinstance(piece, Matrix):
            layer, source = _linear(piece, factor, rest, gaussianize)
        elif isinstance(piece, Core):
            layer, source = attended(piece, layers, sources, rest, gaussianize)
        elif isinstance(piece, Swap):
            raise refusal(f"gate after {piece.name}", "a gate of the first half of its neurons")
        elif isinstance(piece, Shift):
            what = "a trained vector added to neurons that no linear map has made"
            raise refusal(piece.name, what)
        else:
            assert isinstance(piece, Function | Whole)
            layer, source = piece.layer, piece.source if isinstance(piece, Whole) else None
        layers.append(layer)
        sources.append(source)
    return tuple(layers), tuple(sources)


def without_last_factor(pieces: tuple[Piece, ...]) -> tuple[tuple[Piece, ...], float]:
    """Pieces of a branch, and the number that it is multiplied by."""
    kept, factor = [piece for piece in pieces if not isinstance(piece, Nothing)], 1.0
    while kept and isinstance(kept[-1], Factor):
        factor *= kept.pop().number  # type: ignore[union-attr]
    return tuple(kept), factor


def _linear(
    matrix: Matrix, factor: float, rest: list[Piece], gaussianize: bool
) -> tuple[Layer, Weights | Beside]:
    """A linear map with what follows it."""
    factor *= _factors(rest)
    bias: Array | None = None
    bias_factor = 1.0
    if rest and isinstance(rest[0], Shift):
        shift: Any = rest.pop(0)
        both = _factors(rest)
        bias, factor, bias_factor = shift.array, factor * both, both * shift.sign
    law = kernel_law(matrix, factor, gaussianize)
    bias_law = None if bias is None else _bias_law(bias, bias_factor, gaussianize)
    kept = bias if bias_law is not None else None
    weights = Weights(matrix, factor, kept, bias_factor)
    if rest and isinstance(rest[0], Swap):
        rest.pop(0)
        half = matrix.fan_out // 2
        halves = ((weights, slice(half, None)), (weights, slice(half)))
        return matrix.make(law, bias_law), Beside(halves)
    return matrix.make(law, bias_law), weights


def attended(
    core: Core, layers: list[Layer], sources: list[Any], rest: list[Piece], gaussianize: bool
) -> tuple[Layer, Any]:
    """Attention with the linear maps before, which are taken from the layers, and behind."""
    if core.arms:
        maps = [_linear(arm, 1.0, [], gaussianize) for arm in core.arms]
        laws = [layer.law for layer, _ in maps]  # type: ignore[attr-defined]
        inputs = tuple((source, None) for _, source in maps)
        width = core.arms[0].fan_in
    else:
        before: Any = layers.pop() if layers else None
        source = sources.pop() if sources else None
        if type(before) is not Dense or before.bias is not None:
            what = "attention that does not follow a linear map without biases (or biases of 0)"
            raise refusal(core.name, what)
        laws, size = [before.law] * 3, len(core.columns) // 3
        parts = [core.columns[place * size : (place + 1) * size] for place in range(3)]
        inputs = tuple((source, np.array(part)) for part in parts)
        width = source.matrix.fan_in if isinstance(source, Weights) else 0
    if not rest or not isinstance(rest[0], Matrix):
        raise refusal(core.name, "attention without a linear map behind it")
    out: Any
    out, out_source = _linear(rest.pop(0), 1.0, rest, gaussianize)  # type: ignore[arg-type]
    if out.bias is not None or out.width != width or any(law.is_haar for law in laws):
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
        output_law=out.law,
    )
    output_shape(layer, Shape(None, width), core.name)
    if any(law != laws[0] for law in laws):  # engines draw them at variance 1
        inputs = tuple(
            (own._replace(factor=own.factor / law.variance**0.5), rows)
            for (own, rows), law in zip(inputs, laws, strict=True)
        )
    return layer, (Beside(inputs), None, out_source)


def _factors(rest: list[Piece]) -> float:
    """The product of the factors that come first, which are taken away."""
    product = 1.0
    while rest and isinstance(rest[0], Factor):
        product *= rest.pop(0).number  # type: ignore[union-attr]
    return product


def _times(factor: float) -> Any:
    from deepinit.core.activations import from_function

    return from_function(Times(factor))


def kernel_law(matrix: Matrix, factor: float, gaussianize: bool) -> Law:
    """The law of a kernel times a factor.

    Raises SpecError: laws that `di.laws` does not have.
    """
    parameter = matrix.array.view.parameter
    drawn, name = parameter.law, parameter.name
    is_zero = drawn.name == "constant" and drawn.mean == 0.0
    if drawn.name == "constant" and not is_zero:
        raise refusal(name, f"a kernel of equal entries {drawn.mean:g}", "random kernels")
    if drawn.name == "orthogonal":
        shape = parameter.shape
        if sorted(shape) != sorted((matrix.fan_in, matrix.fan_out)) or len(shape) != 2:
            what = "an orthogonal kernel that acts in another shape than it is drawn in"
            raise refusal(name, what, "kernels [fan_in, fan_out]")
    scale = factor * matrix.array.view.factor
    size = matrix.fan_in if matrix.scaling == "fan_in" else 1
    return _drawn_law(name, drawn, scale, size, matrix.scaling, gaussianize)


def _bias_law(bias: Array, factor: float, gaussianize: bool) -> Law | None:
    """None for biases that start at 0: they do not act."""
    drawn, name = bias.view.parameter.law, bias.view.parameter.name
    factor *= bias.view.factor
    if drawn.name == "constant":
        return constant(factor * drawn.mean) if drawn.mean else None
    if drawn.name == "orthogonal":
        raise refusal(name, "a bias of an orthogonal law", "independent biases")
    return law_of(name, drawn, factor, gaussianize)


def law_of(name: str, drawn: Drawn, factor: float, gaussianize: bool) -> Law:
    """The law of a vector times a factor, scaling `absolute`."""
    return _drawn_law(name, drawn, factor, 1, "absolute", gaussianize)


def _drawn_law(
    name: str, drawn: Drawn, factor: float, size: int, scaling: str, gaussianize: bool
) -> Law:
    variance = neat((drawn.std * factor) ** 2 * size)
    if drawn.name == "unknown":
        raise refusal(name, f"a law that is not recognized: {drawn.reason}", _LAWS)
    if abs(drawn.mean) > 1e-6 * drawn.std and drawn.name != "constant":
        raise refusal(name, f"a {drawn.name} law of mean {drawn.mean * factor:g}", _LAWS)
    if drawn.name in ("normal", "constant"):
        return Law("normal", variance, scaling)  # type: ignore[arg-type]
    if gaussianize and drawn.name in ("truncated_normal", "uniform"):
        return Law("normal", variance, scaling)  # type: ignore[arg-type]
    if drawn.name == "truncated_normal" and not drawn.has_usual_cut:
        what = f"a normal law truncated at {drawn.cut:g} standard deviations"
        remedy = "Write network.with_gaussian_weights() for the Gaussian law of its variance."
        raise refusal(name, what, "truncation at 2", remedy)
    return Law(drawn.name, variance, scaling)  # type: ignore[arg-type]


_LAWS = "normal, truncated normal, uniform and orthogonal laws of mean 0, times numbers"


def neat(variance: float) -> float:
    """The simple fraction within the rounding of a float32, or the number itself."""
    simple = float(Fraction(variance).limit_denominator(_DENOMINATOR))
    return simple if abs(simple - variance) <= _ROUNDING * variance else variance
