"""Residual sums: two ways from one value, added."""

from collections.abc import Callable
from typing import Any

from deepinit.core.layers import Layer, Residual, Sequential
from deepinit.reading.assembly import assembled, without_last_factor
from deepinit.reading.constants import short
from deepinit.reading.pieces import Match, Piece, Spot, Whole
from deepinit.reading.refusals import refusal

Read = Callable[[Spot, int], tuple[tuple[Piece, ...], int]]


def residual(spot: Spot, read: Read) -> Match | None:
    """x + branch(x), or skip(x) + branch(x)."""
    equation = spot.scope.makers[spot.end]
    name, inputs = equation.primitive.name, equation.inputs
    if name not in ("add", "add_any", "sub") or not all(map(spot.scope.is_stream, inputs)):
        return None
    first, second = inputs
    if not isinstance(first, int) or not isinstance(second, int) or first == second:
        return None
    (one, positions), (other, same) = read(spot, first), read(spot, second)
    shapes = spot.scope.shape(first), spot.scope.shape(second)
    where = equation.name or f"after {spot.before}"
    if shapes[0] != shapes[1] or positions != same:
        raise refusal(where, f"a sum of arrays of shapes {shapes[0]} and {shapes[1]}")
    if len(other) < len(one) and name != "sub":  # the longer way is the branch
        one, other = other, one
    branch, factor = without_last_factor(other)
    factor = -factor if name == "sub" else factor
    if not branch:
        raise refusal(where, "a sum of a value and a multiple of it")
    layer, source = _layer(branch, spot)
    if not one:
        found = Residual(layer, scale=short(factor))
        return Match((Whole(where, found, source),), spot.at + 1, positions)
    skip, skip_source = _layer(one, spot)
    found = Residual(layer, skip, short(factor))
    return Match((Whole(where, found, (source, skip_source)),), spot.at + 1, positions)


def _layer(pieces: tuple[Piece, ...], spot: Spot) -> tuple[Layer, Any]:
    layers, sources = assembled(pieces, spot.gaussianize)
    if not layers:
        raise refusal(f"after {spot.before}", "a sum of a value and a multiple of it")
    return (layers[0], sources[0]) if len(layers) == 1 else (Sequential(*layers), sources)
