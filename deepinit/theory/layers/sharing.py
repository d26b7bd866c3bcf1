"""Steps of a network, compiled once for all widths and variances."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np

from deepinit.core.decisions import Deciding, Number, holds
from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.attention import Attention
from deepinit.core.layers.containers import Residual
from deepinit.core.layers.layer import Layer, Shape
from deepinit.core.layers.linear import Conv, Dense, Embed, MeanDense
from deepinit.core.placeholders import CAPACITY, Expression, Recorded, Unresolved, evaluate
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.state import Normed, Pending, Settled

QUICKLY = {"xla_backend_optimization_level": 0}  # short to run and long to compile
_MOST = 256  # structures whose steps are kept


class Depth(NamedTuple):
    """Of a network."""

    number: int


# Fields that hold numbers. Not those that are compared at every step (eps) or sizes of arrays.
_NUMBERS: dict[type, tuple[str, ...]] = {
    **{kind: ("width",) for kind in (Dense, MeanDense, Embed, Shape, Pending)},
    Conv: ("channels",),
    Attention: ("heads", "head_width", "beta", "scores"),
    Residual: ("scale",),
    Law: ("variance", "value"),
    ColumnLaw: ("scale",),
    Normed: ("width", "columns"),
    Depth: ("number",),
}
_RECORDS = (Layer, Law, Pending, Normed, Settled)


Step = Callable[[Any, Any], tuple[Any, Any]]


@dataclasses.dataclass(frozen=True)
class _Slot:
    """The place of a number in a structure."""

    expression: Expression


class _Program(NamedTuple):
    """A compiled step, for all numbers of the same decisions; `after`: the spec that it returns."""

    compiled: Callable[[Any, Any], Any]
    decisions: dict[Expression, Any]
    recorded: Recorded
    after: Any


def run(step: Step, spec: Any, arrays: Any) -> tuple[Any, Any]:
    """step(spec, arrays), compiled once for all specs that differ in numbers alone.

    Decisions by numbers (a variance 0, heads that divide a width) are repeated at every call. A
    step that asks for a value, as the size of an array, is compiled for this value.

    Args:
        step: `(spec, arrays) -> (spec, arrays)`, hashable.
        spec: hashable: layers, shapes, states without arrays (`bare`), tuples of these.
        arrays: pytree.
    """
    numbers: list[float] = []

    def taken(value: Any) -> _Slot:
        numbers.append(value)
        return _Slot(("number", len(numbers) - 1))

    structure = _mapped(spec, taken, _is_number)
    leaves, tree = jax.tree.flatten(arrays)
    shapes = tuple((np.shape(leaf), str(leaf.dtype)) for leaf in leaves)
    programs = _programs(step, structure, tree, shapes)
    given = tuple(numbers)
    program = next((each for each in programs if holds(each.decisions, given)), None)
    if program is None:
        program = _program(step, structure, given, arrays)
        programs.append(program)
    found = program.compiled(program.recorded.vector(given, np.float64), arrays)
    return _mapped(program.after, lambda slot: evaluate(slot.expression, given), _is(_Slot)), found


def bare(state: Any) -> Any:
    """A state without its arrays."""
    leaves, tree = jax.tree.flatten(state)
    return jax.tree.unflatten(tree, range(len(leaves)))


def filled(state: Any, leaves: Any) -> Any:
    """A state of `bare`, with arrays."""
    return jax.tree.unflatten(jax.tree.structure(state), leaves)


@functools.lru_cache(maxsize=_MOST)
def _programs(step: Step, structure: Any, tree: Any, shapes: Any) -> list[_Program]:
    """In order of their compilation."""
    del step, structure, tree, shapes
    return []


def _program(step: Step, structure: Any, given: tuple[float, ...], arrays: Any) -> _Program:
    """With numbers as arguments, or as constants where code does not take them."""
    try:
        return _traced(step, structure, given, arrays, lambda recorder, at: recorder.number(at))
    except (Unresolved, SpecError, TypeError):  # refusals come again
        found = _traced(step, structure, given, arrays, lambda recorder, at: given[at])
        values = {("value", ("number", at)): value for at, value in enumerate(given)}
        return found._replace(decisions=values)


def _traced(
    step: Step, structure: Any, given: tuple[float, ...], arrays: Any, number: Callable[..., Any]
) -> _Program:
    asked: dict[str, Any] = {}

    def with_numbers(vector: Any, arrays: Any) -> Any:
        recorder = Deciding(vector, given)
        in_slot = lambda slot: number(recorder, slot.expression[1])
        after, found = step(_mapped(structure, in_slot, _is(_Slot)), arrays)
        recorder.require_resolved()
        slots = _mapped(after, lambda number: _Slot(number.expression), _is(Number))
        asked.update(recorder=recorder, after=slots)
        return found

    compiled = jax.jit(with_numbers, compiler_options=QUICKLY)
    compiled.eval_shape(jax.ShapeDtypeStruct((CAPACITY,), np.float64), arrays)
    recorder = asked["recorder"]
    return _Program(compiled, recorder.decisions, recorder.recorded, asked["after"])


def _is_number(value: Any, owner: Any, field: str) -> bool:
    return type(value) in (int, float) and field in _NUMBERS.get(type(owner), ())


def _is(kind: type) -> Callable[[Any, Any, str], bool]:
    return lambda value, owner, field: isinstance(value, kind)


def _mapped(value: Any, change: Callable[[Any], Any], chosen: Callable[..., bool]) -> Any:
    """The chosen fields of layers, laws, states and tuples changed, without their checks."""
    if isinstance(value, tuple):
        names = getattr(value, "_fields", map(str, range(len(value))))
        parts = [_part(*each, value, change, chosen) for each in zip(value, names, strict=True)]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if not isinstance(value, _RECORDS):
        return value
    copy = object.__new__(type(value))
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        part = _part(getattr(value, field.name), field.name, value, change, chosen)
        object.__setattr__(copy, field.name, part)
    return copy


def _part(
    value: Any, field: str, owner: Any, change: Callable[[Any], Any], chosen: Callable[..., bool]
) -> Any:
    if chosen(value, owner, field):
        return change(value)
    return _mapped(value, change, chosen)
