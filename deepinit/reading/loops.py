"""Loops over blocks with parameters of their own."""

from collections.abc import Callable
from typing import Any

from deepinit.core.layers import Repeat, Sequential
from deepinit.deferral.program import Equation
from deepinit.deferral.scans import layout_of
from deepinit.reading.assembly import assembled
from deepinit.reading.pieces import Match, Piece, Spot, Stacked, Whole
from deepinit.reading.refusals import name_of, parameters_of, refusal
from deepinit.reading.scope import INPUT, KEY, OTHER, PARAMETER, Parameter, Scope, scope
from deepinit.reading.steps import Steps, steps
from deepinit.reading.uses import check_uses
from deepinit.reading.views import view_of

Read = Callable[[Spot, int], tuple[tuple[Piece, ...], int]]


def loop(spot: Spot, read: Read) -> Match | None:
    """A scan over stacked parameters as a Repeat."""
    equation = spot.scope.makers[spot.end]
    if equation.body is None:
        return None
    name = name_of(spot.scope, (equation,), spot.before)
    layout, body = layout_of(equation), equation.body
    first = layout.num_consts + layout.num_carry
    carries = range(layout.num_consts, first)
    inputs = [place for place, own in enumerate(equation.inputs) if spot.scope.is_stream(own)]
    output = equation.outputs.index(spot.end)
    if len(inputs) != 1 or inputs[0] not in carries or output != inputs[0] - layout.num_consts:
        raise refusal(name, "a loop that does more than pass one value from block to block")
    parameters, feeds, others = _inside(spot, equation, name)
    entry, end = body.inputs[inputs[0]], body.outputs[output]
    inner = scope(body, entry, spot.shape, parameters, others)
    check_uses(inner)
    if not inner.is_stream(end) or not isinstance(end, int):
        raise refusal(name, "a loop whose blocks do not act on their input")
    inside = Spot(inner, (entry,), 0, spot.positions, name, spot.gaussianize)
    pieces, positions = read(inside, end)
    layers, sources = assembled(pieces, spot.gaussianize)
    if positions != spot.positions or not layers:
        raise refusal(name, "a loop over blocks that change positions, or do nothing")
    layer = layers[0] if len(layers) == 1 else Sequential(*layers)
    source = sources[0] if len(layers) == 1 else sources
    repeat = Repeat(layer, layout.length)
    return Match((Whole(name, repeat, Stacked(source, feeds)),), spot.at + 1, positions)


def _inside(
    spot: Spot, equation: Equation, name: str
) -> tuple[dict[int, Parameter], tuple[tuple[int, int, Steps], ...], dict[int, str]]:
    """Parameters of the body, how they are fed, and marks of its other inputs."""
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    first = layout.num_consts + layout.num_carry
    read = {own for inner in body.equations for own in inner.inputs}
    parameters: dict[int, Parameter] = {}
    feeds: list[tuple[int, int, Steps]] = []
    others: dict[int, str] = {}
    for place, (outer, number) in enumerate(zip(equation.inputs, body.inputs, strict=True)):
        marks = spot.scope.marks_of(outer)
        if INPUT in marks:
            continue
        others[number] = KEY if KEY in marks else OTHER
        if number not in read or PARAMETER not in marks:
            continue
        if place < first:
            names = ", ".join(parameters_of(spot.scope, outer))
            what = f"a loop whose blocks share the parameters {names}"
            raise refusal(name, what, remedy="di.layers.Tied is written by hand.")
        del others[number]
        parameters[number], feed = _fed(spot.scope, outer, layout.length, name)
        feeds.append((number, *feed))
    return parameters, tuple(feeds), others


def _fed(outside: Scope, outer: Any, length: int, name: str) -> tuple[Parameter, tuple[int, Steps]]:
    """The parameter of one step."""
    view = view_of(outside, outer)
    if view is None or view.factor != 1.0 or view.part is not None or not view.shape:
        raise refusal(name, "a loop over arrays that are computed from parameters")
    number = next(own for own, item in outside.parameters.items() if item is view.parameter)
    own_steps = steps(outside.makers, (number,), outer)
    assert own_steps is not None
    whole = view.parameter
    shape = view.shape[1:]
    step = Parameter(whole.name, whole.number, shape, whole.law, (*whole.copies, length))
    return step, (number, own_steps)
