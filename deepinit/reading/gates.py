"""Gates: u phi(g), of two linear maps of one input or of the halves of one."""

from collections.abc import Callable
from typing import Any

from deepinit.core.layers import Dense, Gate
from deepinit.reading.assembly import assembled
from deepinit.reading.functions import activation_between
from deepinit.reading.pieces import (
    Beside,
    Function,
    Match,
    Matrix,
    Piece,
    Spot,
    Swap,
    Weights,
    Whole,
)
from deepinit.reading.refusals import refusal
from deepinit.reading.scope import Scope

Read = Callable[[Spot, int], tuple[tuple[Piece, ...], int]]


def gate(spot: Spot, read: Read) -> Match | None:
    """A product of two ways from one value."""
    equation = spot.scope.makers[spot.end]
    inputs = equation.inputs
    if equation.primitive.name != "mul" or not all(map(spot.scope.is_stream, inputs)):
        return None
    first, second = inputs
    if not isinstance(first, int) or not isinstance(second, int):
        return None
    if spot.scope.shape(first) != spot.scope.shape(second):
        return None
    found = _of_halves(spot, first, second)
    return found or _of_two_maps(spot, read, first, second, equation.name)


def _of_halves(spot: Spot, first: int, second: int) -> Match | None:
    """(u, g) -> u phi(g), g the second half; or the first, behind a linear map of equal columns."""
    scope = spot.scope
    for linear, gated in ((first, second), (second, first)):
        number, half = _half_above(scope, linear, spot.start), _half_above(scope, gated, spot.start)
        if number is None or half is None or {number[1], half[1]} != {0, 1}:
            continue
        if number[0] != linear:
            continue
        phi = activation_between(scope, half[0], gated)
        if phi is None:
            continue
        name = f"gate after {spot.before}"
        pieces: tuple[Piece, ...] = (Whole(name, Gate(phi), None),)
        if half[1] == 0:
            pieces = (Swap(spot.before), *pieces)
        return Match(pieces, spot.at + 1, spot.positions)
    return None


def _half_above(scope: Scope, number: int, start: int) -> tuple[int, int] | None:
    """The half of `start` that a value is a function of, and which one it is."""
    while number != start:
        equation = scope.makers[number]
        above = scope.above[number]
        if above == start and equation.inputs[0] == start:
            place = _half(scope, number, start)
            return None if place is None else (number, place)
        number = above
    return None


def _half(scope: Scope, number: int, start: int) -> int | None:
    equation, shape = scope.makers[number], scope.shape(start)
    width, name, params = shape[-1], equation.primitive.name, equation.params
    own = scope.shape(number)
    if own != (*shape[:-1], width // 2) or width % 2:
        return None
    if name == "split" and params["axis"] == len(shape) - 1 and len(equation.outputs) == 2:
        return equation.outputs.index(number)
    if name == "slice" and set(params["strides"] or (1,)) == {1}:
        first = params["start_indices"][-1]
        return {0: 0, width // 2: 1}.get(first)
    return None


def _of_two_maps(spot: Spot, read: Read, first: int, second: int, name: str) -> Match | None:
    """Two linear maps of one law are one of twice the width."""
    ways = [read(spot, number)[0] for number in (first, second)]
    maps = [way[0].name for way in ways if way and isinstance(way[0], Matrix)]
    where = " and ".join(maps) or name or f"after {spot.before}"
    for linear, gated in (ways, ways[::-1]):
        if gated and isinstance(gated[-1], Function):
            phi: Any = gated[-1].layer
            both = [_one_map(way, spot) for way in (linear, gated[:-1])]
            if None not in both:
                return _twins(where, both, Gate(phi.phi), spot)
    raise refusal(where, "a product of two functions of one input", "u phi(g), u and g linear maps")


def _one_map(pieces: tuple[Piece, ...], spot: Spot) -> tuple[Dense, Weights] | None:
    if not any(isinstance(piece, Matrix) for piece in pieces):
        return None
    layers, sources = assembled(pieces, spot.gaussianize)
    is_map = len(layers) == 1 and type(layers[0]) is Dense
    return (layers[0], sources[0]) if is_map else None  # type: ignore[return-value]


def _twins(name: str, maps: Any, layer: Gate, spot: Spot) -> Match:
    (linear, first), (gated, second) = maps
    if linear != gated or linear.law.is_haar:
        what = f"a gate of two linear maps of the laws {linear!r} and {gated!r}"
        raise refusal(name, what, "equal laws of independent entries")
    both = Dense(2 * linear.width, linear.law, linear.bias)
    source = Beside(((first, None), (second, None)))
    pieces = (Whole(name, both, source), Whole(name, layer, None))
    return Match(pieces, spot.at + 1, spot.positions)
