"""What values of a program depend on, and the places that every path to a value passes."""

import dataclasses
from collections.abc import Mapping

from deepinit.deferral.program import Equation, Operand, Program
from deepinit.reading.laws import Drawn, makers_of

INPUT, PARAMETER, KEY, OTHER = "input", "parameter", "key", "other"


@dataclasses.dataclass(frozen=True, eq=False)
class Parameter:
    """An array of parameters.

    Attributes:
        name: its path in the tree.
        number: in the list of parameters.
        shape: of one copy.
        copies: lengths of the loops around, whose steps have a copy each.
    """

    name: str
    number: int
    shape: tuple[int, ...]
    law: Drawn
    copies: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False)
class Scope:
    """A program, or the body of a loop, as functions of one input.

    Attributes:
        entry: the input.
        entry_shape: of the input.
        parameters: by numbers of values.
        makers: the equation of every value.
        marks: of every value, what it depends on.
        above: of every value that depends on the input, the nearest before it through which every
            path to it passes.
    """

    entry: int
    entry_shape: tuple[int, ...]
    parameters: Mapping[int, Parameter]
    makers: Mapping[int, Equation]
    marks: Mapping[int, frozenset[str]]
    above: Mapping[int, int]

    def marks_of(self, operand: Operand) -> frozenset[str]:
        """What an operand depends on; nothing for constants."""
        return self.marks[operand] if isinstance(operand, int) else frozenset()

    def is_stream(self, operand: Operand) -> bool:
        """Whether an operand depends on the input."""
        return INPUT in self.marks_of(operand)

    def chain(self, start: int, end: int) -> tuple[int, ...]:
        """The places from `start` to `end` that every path passes."""
        found = [end]
        while found[-1] != start:
            found.append(self.above[found[-1]])
        return tuple(reversed(found))

    def between(self, start: int, end: int) -> tuple[Equation, ...]:
        """The equations on paths from `start` to `end`, in order."""
        found: dict[int, Equation] = {}
        pending = [end]
        while pending:
            number = pending.pop()
            if number == start or number in found:
                continue
            equation = self.makers[number]
            found |= dict.fromkeys(equation.outputs, equation)
            pending += [own for own in equation.inputs if self.is_stream(own)]  # type: ignore[misc]
        return tuple(dict.fromkeys(found[number] for number in sorted(found)))

    def shape(self, number: int) -> tuple[int, ...]:
        """Of the input, or of a value that an equation makes."""
        if number == self.entry:
            return self.entry_shape
        if number in self.parameters:
            return self.parameters[number].shape
        equation = self.makers[number]
        return tuple(equation.shapes[equation.outputs.index(number)].shape)


def scope(
    program: Program,
    entry: int,
    entry_shape: tuple[int, ...],
    parameters: Mapping[int, Parameter],
    others: Mapping[int, str],
) -> Scope:
    """The scope of a program.

    Args:
        entry: the input among the program's inputs.
        parameters: among them.
        others: marks of the rest.
    """
    marks: dict[int, frozenset[str]] = {entry: frozenset({INPUT})}
    marks |= {number: frozenset({PARAMETER}) for number in parameters}
    marks |= {number: frozenset({mark}) for number, mark in others.items()}
    depth, above = {entry: 0}, dict[int, int]()
    for equation in program.equations:
        numbers = [operand for operand in equation.inputs if isinstance(operand, int)]
        own = frozenset().union(*(marks[number] for number in numbers))
        marks |= dict.fromkeys(equation.outputs, own)
        stream = [number for number in numbers if number in depth]
        if not stream:
            continue
        common = stream[0]
        for number in stream[1:]:
            common = _meeting(common, number, depth, above)
        for number in equation.outputs:
            above[number], depth[number] = common, depth[common] + 1
    return Scope(entry, entry_shape, parameters, makers_of(program), marks, above)


def _meeting(first: int, second: int, depth: Mapping[int, int], above: Mapping[int, int]) -> int:
    while first != second:
        if depth[first] < depth[second]:
            first, second = second, first
        first = above[first]
    return first
