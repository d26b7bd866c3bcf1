"""Equations that are computed twice, or for nobody, are left out of a program."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from deepinit.deferral.constants import with_numbers
from deepinit.deferral.draws import is_open_interval
from deepinit.deferral.program import Constant, Equation, Operand, Program, read
from deepinit.deferral.scans import layout_of


def simplified(program: Program) -> Program:
    """One equation for equal ones; equations without use dropped, in bodies of loops too.

    Without this the forward pass inside `model.init` and recomputed activations use every weight
    twice, and an array that is drawn twice from one key is taken as two.
    """
    return live(_with_inverses(with_numbers(_shared(live(program)))))


def _shared(program: Program) -> Program:
    first: dict[Any, tuple[int, ...]] = {}
    twins: dict[int, list[str]] = {}
    names: dict[int, Operand] = {}
    renamed = lambda operand: names.get(operand, operand) if isinstance(operand, int) else operand
    equations = []
    for equation in program.equations:
        inputs = tuple(renamed(operand) for operand in equation.inputs)
        body = None if equation.body is None else _shared(equation.body)
        equation = dataclasses.replace(equation, inputs=inputs, body=body)
        key = identity(equation)
        if key is not None and key in first:
            if equation.draw is not None:
                twins.setdefault(first[key][0], []).append(equation.name)
            names |= dict(zip(equation.outputs, first[key], strict=True))
            continue
        if key is not None:
            first[key] = equation.outputs
        equations.append(equation)
    outputs = tuple(renamed(operand) for operand in program.outputs)
    equations = [
        dataclasses.replace(equation, twins=tuple(twins[equation.outputs[0]]))
        if equation.outputs and equation.outputs[0] in twins
        else equation
        for equation in equations
    ]
    return Program(program.inputs, outputs, tuple(equations))


def _with_inverses(program: Program) -> Program:
    """erf_inv of a uniform array on (-1, 1) as a normal draw: so newer JAX draws initializers."""
    uniform = {
        equation.outputs[0]: equation
        for equation in program.equations
        if equation.draw is not None
        and equation.draw.law == "uniform"
        and is_open_interval(equation.draw, tuple(map(_constant, equation.inputs[1:])))
    }
    others = {
        operand
        for equation in program.equations
        if equation.primitive.name != "erf_inv"
        for operand in equation.inputs
        if isinstance(operand, int)
    } | {operand for operand in program.outputs if isinstance(operand, int)}
    uniform = {own: source for own, source in uniform.items() if own not in others}
    equations = []
    for equation in program.equations:
        first = _first(equation.inputs)
        source = None if first is None else uniform.get(first)
        if equation.body is not None:
            equation = dataclasses.replace(equation, body=_with_inverses(equation.body))
        elif source is not None and source.draw is not None:
            draw = source.draw._replace(law="normal", scale=math.sqrt(0.5))
            equation = dataclasses.replace(
                equation,
                inputs=source.inputs,
                operand_shapes=source.operand_shapes,
                draw=draw,
                twins=source.twins,
                source=source,
            )
        if equation.outputs and equation.outputs[0] in uniform:
            continue
        equations.append(equation)
    return Program(program.inputs, program.outputs, tuple(equations))


def _first(operands: Any) -> int | None:
    return operands[0] if operands and isinstance(operands[0], int) else None


def _constant(operand: Operand) -> Any:
    return operand.value if isinstance(operand, Constant) else None


def identity(equation: Equation) -> Any:
    """Hashable; equal for equations that compute the same. None if unknown."""
    if equation.has_effects:
        return None
    if equation.body is not None:
        return _loop_identity(equation, equation.body)
    try:
        operands = tuple(_value(operand) for operand in equation.inputs)
        if equation.draw is not None:  # params hold a traced function, one for each shape
            law = equation.draw.law
            shape = equation.shapes[0]
            return "draw", law, operands, shape.shape, str(shape.dtype)
        params = tuple(sorted((name, _frozen(value)) for name, value in equation.params.items()))
        key = equation.primitive.name, operands, params
        hash(key)
    except TypeError:
        return None
    return key


def _loop_identity(equation: Equation, body: Program) -> Any:
    """Of a loop: its body with variables by order, and the operands that the body reads."""
    names: dict[int, int] = {own: place for place, own in enumerate(body.inputs)}
    named = lambda operand: names.get(operand, -1) if isinstance(operand, int) else operand
    found = []
    for inner in body.equations:
        own = identity(dataclasses.replace(inner, inputs=tuple(map(named, inner.inputs))))
        if own is None:
            return None
        found.append((own, len(inner.outputs)))
        names |= {output: len(names) + place for place, output in enumerate(inner.outputs)}
    layout, needed = layout_of(equation), read(body)
    dead = [isinstance(out, Constant) and out.value is None for out in body.outputs]
    carried = {layout.num_consts + place for place in range(layout.num_carry) if not dead[place]}
    operands = tuple(
        _value(operand) if own in needed or place in carried else None
        for place, (operand, own) in enumerate(zip(equation.inputs, body.inputs, strict=True))
    )
    outputs = tuple(_value(named(operand)) for operand in body.outputs)
    return "scan", layout._replace(unroll=1), operands, tuple(found), outputs


def _value(operand: Operand) -> Any:
    if isinstance(operand, int):
        return operand
    value = operand.value
    if value is None:
        return "nothing"
    if isinstance(value, jax.core.Tracer):
        return "object", id(value)
    if np.ndim(value) == 0 and not jax.dtypes.issubdtype(
        getattr(value, "dtype", np.float32), jax.dtypes.extended
    ):
        array = np.asarray(value)
        return "constant", array.tobytes(), str(array.dtype)
    return "object", id(value)


def _frozen(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    if callable(value) or hasattr(value, "eqns"):
        return "object", id(value)
    hash(value)
    return type(value).__name__, value if not isinstance(value, float) else repr(value)


def live(program: Program) -> Program:
    """Without equations that no output needs, in bodies of loops too."""
    needed = {operand for operand in program.outputs if isinstance(operand, int)}
    kept: list[Equation] = []
    for equation in reversed(program.equations):
        if not (equation.has_effects or needed & set(equation.outputs)):
            continue
        used: Sequence[Operand] = equation.inputs
        if equation.body is not None:
            equation, used = _live_loop(equation, needed)
        needed |= {operand for operand in used if isinstance(operand, int)}
        kept.append(equation)
    return Program(program.inputs, program.outputs, tuple(reversed(kept)))


def _live_loop(equation: Equation, needed: set[int]) -> tuple[Equation, Sequence[Operand]]:
    """The loop with a body that computes what is needed, and its operands that are.

    Outputs and operands keep their places: constants stand for what nobody needs.
    """
    assert equation.body is not None
    layout, body = layout_of(equation), equation.body
    carries = set(range(layout.num_carry))
    alive = {
        place
        for place, output in enumerate(equation.outputs)
        if output in needed or equation.has_effects
    }
    while True:
        outputs = tuple(
            operand if place in alive else Constant(None)
            for place, operand in enumerate(body.outputs)
        )
        pruned = live(Program(body.inputs, outputs, body.equations))
        needed_inside = read(pruned)
        wanted = alive | {
            place for place in carries if body.inputs[layout.num_consts + place] in needed_inside
        }
        if wanted == alive:
            break
        alive = wanted
    # a carry that is passed on untouched, or for itself alone, is not needed
    used = [
        operand
        for operand, number in zip(equation.inputs, body.inputs, strict=True)
        if number in needed_inside
    ]
    used += [equation.inputs[layout.num_consts + place] for place in carries & alive]
    return dataclasses.replace(equation, body=pruned, params=equation.params), used
