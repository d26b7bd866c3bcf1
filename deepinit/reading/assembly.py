"""Pieces put together: linear maps with the biases and factors around them, attention."""

from typing import Any

from deepinit.core.activations import from_function
from deepinit.core.layers import Activation, Flatten, Layer, Pool
from deepinit.reading.attended import attended
from deepinit.reading.functions import Times
from deepinit.reading.linear import factors, linear
from deepinit.reading.pieces import (
    Beside,
    Core,
    Factor,
    Function,
    Matrix,
    Nothing,
    Piece,
    Shift,
    Swap,
    Whole,
)
from deepinit.reading.refusals import refusal


def assembled(
    pieces: tuple[Piece, ...], gaussianize: bool
) -> tuple[tuple[Layer, ...], tuple[Any, ...]]:
    """Layers, and the source of the parameters of each.

    Raises SpecError: biases without a linear map, laws that no layer has.
    """
    rest: list[Piece] = [piece for piece in pieces if not isinstance(piece, Nothing)]
    layers: list[Layer] = []
    sources: list[Any] = []
    while rest:
        source: Any = None
        piece, factor = rest.pop(0), 1.0
        if isinstance(piece, Factor):
            factor = piece.number * factors(rest)
            if rest and _passes(rest[0], factor):  # towards the next linear map
                rest.insert(1, Factor(piece.name, factor))
                piece, factor = rest.pop(0), 1.0
            elif rest and isinstance(rest[0], Matrix):
                piece = rest.pop(0)
        layer: Layer
        if isinstance(piece, Matrix):
            layer, source = linear(piece, factor, rest, gaussianize)
            if rest and isinstance(rest[0], Swap):
                rest.pop(0)
                half = piece.fan_out // 2
                source = Beside(((source, slice(half, None)), (source, slice(half))))
        elif isinstance(piece, Core):
            layer, source = attended(piece, layers, sources, rest, gaussianize)
        elif isinstance(piece, Factor):
            layer = Activation(from_function(Times(factor)))
        elif isinstance(piece, Shift):
            what = "a trained vector added to neurons that no linear map has made"
            raise refusal(piece.name, what)
        elif isinstance(piece, Swap):
            raise refusal(f"gate after {piece.name}", "a gate of the first half of its neurons")
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


def _passes(piece: Piece, factor: float) -> bool:
    """Whether a factor before a layer is one behind it."""
    layer = piece.layer if isinstance(piece, Whole) else None
    return isinstance(layer, Flatten) or (isinstance(layer, Pool) and factor > 0)
