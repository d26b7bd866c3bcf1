"""Numbers that a program takes as arguments, of known values: what is decided by them is recorded.

Arithmetic is that of `Placeholder`. A comparison, a quotient without remainder, or a size of an
array is decided at the value at hand, and remembered: the program holds for all numbers of the same
decisions. Widths, whose divisors and sizes code asks for, are such numbers.
"""

import numbers
from collections.abc import Sequence
from typing import Any

from deepinit.core.placeholders import Expression, Placeholder, Recorder, evaluate


class Deciding(Recorder):
    """Numbers at values `given`, and the decisions that depended on them."""

    def __init__(self, vector: Any, given: Sequence[float]) -> None:
        super().__init__(vector)
        self.given = tuple(given)
        self.decisions: dict[Expression, Any] = {}

    def number(self, place: int) -> "Number":
        """given[place]."""
        return Number(self, ("number", place))

    def decide(self, expression: Expression) -> Any:
        """Its value, remembered."""
        self.decisions[expression] = outcome = evaluate(expression, self.given)
        return outcome


def holds(decisions: dict[Expression, Any], given: Sequence[float]) -> bool:
    """Whether other numbers decide alike."""
    return all(evaluate(asked, given) == outcome for asked, outcome in decisions.items())


class Number(Placeholder):
    """A number of known value that is an argument of the program."""

    __slots__ = ()
    recorder: Deciding

    def _with(self, name: str, other: Any, sign: int, *, swapped: bool = False) -> Any:
        found = super()._with(name, other, sign, swapped=swapped)
        return Number(self.recorder, found.expression) if type(found) is Placeholder else found

    def _decide(self, name: str, *others: Any) -> Any:
        parts = (each.expression if isinstance(each, Placeholder) else each for each in others)
        return self.recorder.decide((name, self.expression, *parts))

    def _compared(self, name: str, other: Any) -> Any:
        known = isinstance(other, Placeholder | int | float)
        return self._decide(name, other) if known else NotImplemented

    def __eq__(self, other: Any) -> Any:
        return self is other or self._compared("equal", other)

    def __gt__(self, other: Any) -> Any:
        return self._compared("greater", other)

    def __lt__(self, other: Any) -> Any:
        return self._compared("less", other)

    def __ge__(self, other: Any) -> Any:
        return self._compared("greater_equal", other)

    def __le__(self, other: Any) -> Any:
        return self._compared("less_equal", other)

    def __floordiv__(self, other: Any) -> Any:
        return self._with("floor_divide", other, 0)

    def __mod__(self, other: Any) -> Any:
        return self._with("remainder", other, 0)

    def __bool__(self) -> bool:
        return bool(self._decide("not_equal", 0))

    def __hash__(self) -> int:
        return hash((id(self.recorder), self.expression))

    def __neg__(self) -> "Number":
        return Number(self.recorder, ("negative", self.expression))

    def __abs__(self) -> "Number":
        return Number(self.recorder, ("absolute", self.expression))

    def __float__(self) -> float:
        return float(self._decide("value"))

    def __int__(self) -> int:
        return int(self._decide("value"))

    def __index__(self) -> int:
        value = self._decide("value")
        if not isinstance(value, int):
            raise TypeError(f"{value!r} is not an integer")
        return value

    def __format__(self, spec: str) -> str:
        return format(self._decide("value"), spec)


numbers.Real.register(Number)
