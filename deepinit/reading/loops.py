"""Loops over blocks with parameters of their own."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from deepinit.core.layers import Repeat, Sequential, Tied
from deepinit.deferral.program import Constant, Equation, Operand, Program
from deepinit.deferral.scans import layout_of
from deepinit.reading.assembly import assembled
from deepinit.reading.constants import as_numpy, folded
from deepinit.reading.pieces import Feed, Loop, Match, Piece, Spot, Whole
from deepinit.reading.refusals import name_of, refusal
from deepinit.reading.scope import INPUT, KEY, OTHER, PARAMETER, Parameter, Scope, scope
from deepinit.reading.steps import Steps, steps
from deepinit.reading.uses import check_uses
from deepinit.reading.views import view_of

Read = Callable[[Spot, int], tuple[tuple[Piece, ...], int]]


def loop(spot: Spot, read: Read) -> Match | None:
    """A scan over stacked parameters as a Repeat, with the same parameters as a Tied."""
    equation = spot.scope.makers[spot.end]
    if equation.body is None:
        return None
    name = name_of(spot.scope, (equation,), spot.before)
    layout, body = layout_of(equation), _with_constants(equation)
    carries = range(layout.num_consts, layout.num_consts + layout.num_carry)
    inputs = [place for place, own in enumerate(equation.inputs) if spot.scope.is_stream(own)]
    output = equation.outputs.index(spot.end)
    if len(inputs) != 1 or inputs[0] not in carries or output != inputs[0] - layout.num_consts:
        raise refusal(name, "a loop that does more than pass one value from block to block")
    fed = _fed(spot, equation, body, name)
    entry, end = body.inputs[inputs[0]], body.outputs[output]
    inner = scope(body, entry, spot.shape, fed.parameters, fed.others)
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
    kind = Tied if fed.is_tied else Repeat
    whole = Whole(name, kind(layer, layout.length), Loop(source, fed.feeds, fed.is_tied))
    return Match((whole,), spot.at + 1, positions)


class _Fed(NamedTuple):
    """Parameters of a body, how they are fed, and marks of its other inputs."""

    parameters: dict[int, Parameter]
    feeds: tuple[Feed, ...]
    others: dict[int, str]
    is_tied: bool


def _fed(spot: Spot, equation: Equation, body: Program, name: str) -> _Fed:
    layout = layout_of(equation)
    first = layout.num_consts + layout.num_carry
    read = {own for inner in body.equations for own in inner.inputs}
    parameters: dict[int, Parameter] = {}
    feeds: list[Feed] = []
    others: dict[int, str] = {}
    shared: list[bool] = []
    for place, (outer, number) in enumerate(zip(equation.inputs, body.inputs, strict=True)):
        marks = spot.scope.marks_of(outer)
        if INPUT in marks:
            continue
        if number not in read or PARAMETER not in marks:
            others[number] = KEY if KEY in marks else OTHER
            continue
        shared.append(place < first)
        times = None if place < first else layout.length
        parameters[number], feed = _parameter(spot.scope, outer, times, name)
        feeds.append((number, *feed))
    if len({*shared}) > 1:
        raise refusal(name, "a loop whose blocks share some of their parameters")
    return _Fed(parameters, tuple(feeds), others, shared[:1] == [True])


def _parameter(
    outside: Scope, outer: Any, times: int | None, name: str
) -> tuple[Parameter, tuple[int, Steps]]:
    """The parameter of one step, of `times` steps; None for one that all steps share."""
    view = view_of(outside, outer)
    if view is None or view.factor != 1.0 or view.part is not None or not view.shape:
        raise refusal(name, "a loop over arrays that are computed from parameters")
    number = next(own for own, item in outside.parameters.items() if item is view.parameter)
    own_steps = steps(outside.makers, (number,), outer)
    assert own_steps is not None
    whole = view.parameter
    if times is None:
        return dataclasses.replace(whole, shape=view.shape), (number, own_steps)
    copies = (*whole.copies, times)
    return dataclasses.replace(whole, shape=view.shape[1:], copies=copies), (number, own_steps)


def _with_constants(equation: Equation) -> Program:
    """The body, with inputs that are the same in all steps and for all inputs as constants."""
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    first = layout.num_consts + layout.num_carry
    known: dict[Operand, Constant] = {}
    for place, (outer, number) in enumerate(zip(equation.inputs, body.inputs, strict=True)):
        value = as_numpy(outer.value) if isinstance(outer, Constant) else None
        if place < layout.num_consts and value is not None:
            known[number] = Constant(value)
        elif place >= first and isinstance(value, np.ndarray) and (value == value[:1]).all():
            known[number] = Constant(value[0])

    def swap(operand: Operand) -> Operand:
        return known.get(operand, operand)

    equations = tuple(
        dataclasses.replace(own, inputs=tuple(map(swap, own.inputs))) for own in body.equations
    )
    return folded(Program(body.inputs, tuple(map(swap, body.outputs)), equations))
