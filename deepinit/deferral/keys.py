"""Which draws share a key, and which keys change with an argument or with the step of a loop."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import jax

from deepinit.deferral.program import Constant, Equation, Operand, Program
from deepinit.deferral.scans import Layout, layout_of
from deepinit.deferral.simplify import identity

Path = tuple[int, ...]


def of_one_key(program: Program) -> list[list[Any]]:
    """Names of draws with equal keys, loops included; equal draws were merged before."""
    found: dict[Any, list[Any]] = {}
    fresh = itertools.count()
    _by_key(program, (), {own: next(fresh) for own in program.inputs}, {}, fresh, found)
    return list(found.values())


def _by_key(
    program: Program,
    path: Path,
    known: dict[int, int],
    equal: dict[Any, list[int]],
    fresh: Iterator[int],
    found: dict[Any, list[Any]],
) -> None:
    """Collect names of draws by the numbers of their keys; equal computations have one number."""
    for number, equation in enumerate(program.equations):
        inputs = tuple(
            known[operand] if isinstance(operand, int) else operand for operand in equation.inputs
        )
        new = [next(fresh) for _ in equation.outputs]
        if equation.body is not None:
            layout, own = layout_of(equation), equation.body.inputs
            inner = {
                name: operand if isinstance(operand, int) else next(fresh)
                for name, operand in zip(own, inputs, strict=True)
            }
            inner |= {name: next(fresh) for name in _carries(own, layout)}
            _by_key(equation.body, (*path, number), inner, equal, fresh, found)
        elif equation.draw is not None or equation.primitive.name == "random_bits":
            key = inputs[0] if isinstance(inputs[0], int) else ("constant", id(inputs[0].value))
            found.setdefault(key, []).append(("draw", path, number))
        else:
            what = identity(dataclasses.replace(equation, inputs=inputs))
            new = new if what is None else equal.setdefault(what, new)
        known |= zip(equation.outputs, new, strict=True)


def _carries(names: tuple[Any, ...], layout: Layout) -> tuple[Any, ...]:
    return names[layout.num_consts : layout.num_consts + layout.num_carry]


def fixed(program: Program, changing: set[int], path: Path) -> Iterator[Any]:
    """Names of draws whose keys depend on none of the changing variables."""
    changing = _dependent(program, changing)
    for number, equation in enumerate(program.equations):
        if equation.body is not None:
            yield from fixed(equation.body, _inside(equation, changing), (*path, number))
        elif equation.draw is not None and not _changes(equation.inputs[0], changing):
            yield "draw", path, number


def repeated(equation: Equation, path: Path) -> Iterator[Any]:
    """Names of draws in a loop with the same key in several steps."""
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    slices = set(body.inputs[layout.num_consts + layout.num_carry :])
    pairs = list(zip(_carries(body.inputs, layout), body.outputs, strict=False))
    changing = {own for own, output in pairs if own != output}
    while True:
        found = _dependent(body, slices | changing)
        left = {own for own, output in pairs if own in changing and _changes(output, found)}
        if left == changing:
            return fixed(body, slices | changing, path)
        changing = left


def _dependent(program: Program, changing: set[int]) -> set[int]:
    """Variables that depend on these, themselves included."""
    found = set(changing)
    for equation in program.equations:
        if equation.body is not None:
            inner = _dependent(equation.body, _inside(equation, found))
            pairs = zip(equation.outputs, equation.body.outputs, strict=True)
            found |= {output for output, own in pairs if _changes(own, inner)}
        elif any(_changes(operand, found) for operand in equation.inputs):
            found |= set(equation.outputs)
    return found


def _inside(equation: Equation, changing: set[int]) -> set[int]:
    """Inputs of the body of a loop that depend on changing variables outside."""
    body = equation.body
    assert body is not None
    pairs = zip(body.inputs, equation.inputs, strict=True)
    inner = {own for own, operand in pairs if _changes(operand, changing)}
    carried = list(zip(_carries(body.inputs, layout_of(equation)), body.outputs, strict=False))
    while True:
        found = _dependent(body, inner)
        more = {own for own, output in carried if _changes(output, found)} - inner
        if not more:
            return inner
        inner |= more


def _changes(operand: Operand, changing: set[int]) -> bool:
    """Of an operand; an array that a surrounding transformation traces may change."""
    if isinstance(operand, Constant):
        return isinstance(operand.value, jax.core.Tracer)
    return operand in changing
