"""Keys of drawn arrays: equal keys are found by their values."""

from typing import Any, NamedTuple

import jax
import numpy as np

from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Constant, Equation, Program
from deepinit.deferral.scans import layout_of

Path = tuple[int, ...]


def drawn_keys(program: Program, inputs: tuple[Any, ...]) -> dict[Path, np.ndarray]:
    """Key data [copies, words] of every drawn array, by its place in the program.

    Nothing else is computed. A loop's array has a key for each step.

    Args:
        inputs: values of the program; None for what no key depends on.
    """
    return {path: np.stack(found) for path, found in _keys(program, inputs, ()).items()}


class _Needed(NamedTuple):
    equations: tuple[Equation, ...]
    inputs: frozenset[int]


def _keys(program: Program, inputs: tuple[Any, ...], path: Path) -> dict[Path, list[np.ndarray]]:
    known: dict[int, Any] = dict(zip(program.inputs, inputs, strict=True))
    value = lambda operand: operand.value if isinstance(operand, Constant) else known.get(operand)
    for equation in _needed(program, _wanted(program)).equations:
        found = bind(equation, [value(operand) for operand in equation.inputs])
        known |= zip(equation.outputs, found, strict=True)
    keys: dict[Path, list[np.ndarray]] = {}
    for equation in program.equations:
        if equation.draw is not None:
            key: Any = value(equation.inputs[0])
            data = np.asarray(jax.random.key_data(key))
            keys[(*path, equation.outputs[0])] = list(data.reshape(-1, data.shape[-1]))
        elif equation.body is not None and _has_draws(equation.body):
            given = [value(operand) for operand in equation.inputs]
            keys |= _of_loop(equation, given, path)
    return keys


def _of_loop(equation: Equation, given: list[Any], path: Path) -> dict[Path, list[np.ndarray]]:
    """Under the number of every output of the loop, as laws of its outputs name them."""
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    first = layout.num_consts + layout.num_carry
    consts, carry = given[: layout.num_consts], given[layout.num_consts : first]
    needed = _needed_in_loop(equation)
    carries = range(layout.num_carry)
    places = [place for place in carries if _carry(equation, place) in needed.inputs]
    found: dict[Path, list[np.ndarray]] = {}
    for step in range(layout.length):
        slices = [None if own is None else own[step] for own in given[first:]]
        inputs = (*consts, *carry, *slices)
        for inner, data in _keys(body, inputs, ()).items():
            for output in equation.outputs:
                found.setdefault((*path, output, *inner), []).extend(data)
        carry = _next(body, inputs, needed, places, layout.num_carry)
    return found


def _next(body: Program, inputs: Any, needed: _Needed, places: list[int], number: int) -> list[Any]:
    known = dict(zip(body.inputs, inputs, strict=True))
    value = lambda operand: operand.value if isinstance(operand, Constant) else known.get(operand)
    for equation in needed.equations:
        found = bind(equation, [value(operand) for operand in equation.inputs])
        known |= zip(equation.outputs, found, strict=True)
    return [value(body.outputs[place]) if place in places else None for place in range(number)]


def _carry(equation: Equation, place: int) -> int:
    assert equation.body is not None
    return equation.body.inputs[layout_of(equation).num_consts + place]


def _wanted(program: Program) -> list[Any]:
    """Operands that keys of draws are, or of loops with draws that keys depend on."""
    wanted: list[Any] = []
    for equation in program.equations:
        if equation.draw is not None:
            wanted.append(equation.inputs[0])
        elif equation.body is not None and _has_draws(equation.body):
            read = _needed_in_loop(equation).inputs
            pairs = zip(equation.inputs, equation.body.inputs, strict=True)
            wanted += [operand for operand, number in pairs if number in read]
    return wanted


def _needed_in_loop(equation: Equation) -> _Needed:
    """What keys of every step need, carries included."""
    body, layout = equation.body, layout_of(equation)
    assert body is not None
    wanted = _wanted(body)
    while True:
        needed = _needed(body, wanted)
        carried = [
            body.outputs[place]
            for place in range(layout.num_carry)
            if _carry(equation, place) in needed.inputs
        ]
        more = [operand for operand in carried if operand not in wanted]
        if not more:
            return needed
        wanted += more


def _needed(program: Program, wanted: list[Any]) -> _Needed:
    numbers = {operand for operand in wanted if isinstance(operand, int)}
    kept = []
    for equation in reversed(program.equations):
        if numbers & set(equation.outputs):
            kept.append(equation)
            numbers |= {operand for operand in equation.inputs if isinstance(operand, int)}
    return _Needed(tuple(reversed(kept)), frozenset(numbers & set(program.inputs)))


def _has_draws(program: Program) -> bool:
    return any(
        equation.draw is not None or (equation.body is not None and _has_draws(equation.body))
        for equation in program.equations
    )
