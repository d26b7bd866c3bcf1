"""Numbers whose values are arguments of a compiled program.

Inside a program, a variance is a `Placeholder`: host arithmetic on it (`sqrt(variance / fan_in)`)
is recorded, and its result becomes an argument where it meets an array. The host evaluates what
was recorded in float64, as for a number in the code: the same bits. What would depend on the value
(a comparison, `float(...)`) raises `Unresolved`; such programs are compiled with constants.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

CAPACITY = 64  # arguments of one program

Expression = tuple[Any, ...]


class Unresolved(Exception):
    """A decision at tracing depends on the value of a placeholder."""


class Recorded(NamedTuple):
    """What a traced program asks of its numbers.

    Attributes:
        arguments: expressions of the entries of its vector of arguments, in order.
        checks: `(function, expressions)`: called with the values, raises SpecError.
    """

    arguments: tuple[Expression, ...]
    checks: tuple[tuple[Callable[..., None], tuple[Any, ...]], ...]

    def require(self, given: Sequence[float]) -> None:
        """Run the checks at these numbers."""
        for function, expressions in self.checks:
            function(*(evaluate(each, given) for each in expressions))

    def vector(self, given: Sequence[Any], dtype: Any) -> np.ndarray:
        """The arguments [..., CAPACITY] at numbers [...]."""
        values = [np.asarray(evaluate(each, given), np.float64) for each in self.arguments]
        shape = np.broadcast_shapes(*(value.shape for value in values))
        vector = np.zeros((*shape, CAPACITY), dtype)
        for at, value in enumerate(values):
            vector[..., at] = value
        return vector


class Recorder:
    """Placeholders of one traced program, and what it asks of them.

    `vector` [CAPACITY]: the program's argument.
    """

    def __init__(self, vector: Any) -> None:
        self.vector = vector
        self.places: dict[Expression, int] = {}
        self.checks: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self.is_resolved = True

    def placeholder(
        self, number: int, sign: int, apart: tuple[float, ...], field: str = ""
    ) -> "Placeholder":
        """Number `number`, of this sign, none of `apart`, unlike others of its `field`."""
        return Placeholder(self, ("number", number), sign, apart, field)

    def unresolved(self, what: str) -> Unresolved:
        """The signal, also remembered: user code may swallow it."""
        self.is_resolved = False
        return Unresolved(what)

    def array(self, expression: Expression) -> Any:
        """An expression as a traced scalar."""
        place = self.places.setdefault(expression, len(self.places))
        if place >= CAPACITY:
            raise self.unresolved("more arguments than a program holds")
        return self.vector[place]

    def require_resolved(self) -> None:
        """Raise Unresolved if a decision depended on a placeholder."""
        if not self.is_resolved:
            raise Unresolved("a number whose value was asked for")

    @property
    def recorded(self) -> Recorded:
        """For later calls of the program."""
        return Recorded(tuple(self.places), tuple(self.checks))


class Placeholder:
    """A number that is known when the program runs.

    `sign`: -1, 1, or 0 for unknown. `apart`: numbers that it does not equal. `field`: others of it
    are different; "" if not known.
    """

    __slots__ = ("apart", "expression", "field", "recorder", "sign")
    __array_ufunc__ = None  # NumPy arrays leave operators to this class

    def __init__(
        self,
        recorder: Recorder,
        expression: Expression,
        sign: int = 0,
        apart: tuple[float, ...] = (),
        field: str = "",
    ) -> None:
        self.recorder, self.expression, self.sign = recorder, expression, sign
        self.apart, self.field = apart, field

    def _with(self, name: str, other: Any, sign: int, *, swapped: bool = False) -> Any:
        """The host's arithmetic is recorded; an array takes the value in its own dtype."""
        if isinstance(other, bool) or not isinstance(other, Placeholder | int | float):
            if not hasattr(other, "dtype") or isinstance(other, np.generic):
                return NotImplemented
            return _arithmetic(name, array(self, other), other, swapped)
        pair = self.expression, other.expression if isinstance(other, Placeholder) else other
        return Placeholder(self.recorder, (name, *(pair[::-1] if swapped else pair)), sign)

    def __add__(self, other: Any) -> Any:
        return self._with("add", other, self.sign if self.sign == _sign(other) else 0)

    def __sub__(self, other: Any) -> Any:
        return self._with("subtract", other, self.sign if self.sign == -_sign(other) else 0)

    def __rsub__(self, other: Any) -> Any:
        sign = _sign(other) if self.sign == -_sign(other) else 0
        return self._with("subtract", other, sign, swapped=True)

    def __mul__(self, other: Any) -> Any:
        return self._with("multiply", other, self.sign * _sign(other))

    def __truediv__(self, other: Any) -> Any:
        return self._with("divide", other, self.sign * _sign(other))

    def __rtruediv__(self, other: Any) -> Any:
        return self._with("divide", other, self.sign * _sign(other), swapped=True)

    def __pow__(self, other: Any) -> Any:
        return self._with("power", other, int(self.sign > 0))

    __radd__, __rmul__ = __add__, __mul__

    def __neg__(self) -> "Placeholder":
        return Placeholder(self.recorder, ("negative", self.expression), -self.sign)

    def __abs__(self) -> "Placeholder":
        return Placeholder(self.recorder, ("absolute", self.expression), abs(self.sign))

    def __bool__(self) -> bool:
        if self.sign == 0:
            raise self.recorder.unresolved("whether a number is 0")
        return True

    def __eq__(self, other: Any) -> bool:
        if isinstance(other, Placeholder):
            if self.recorder is not other.recorder:
                return False
            if self.expression == other.expression or (self.field and self.field == other.field):
                return self.expression == other.expression
        elif not isinstance(other, int | float) or self._is_apart(other):
            return False
        raise self.recorder.unresolved(f"whether a number is {other!r}")

    def _is_apart(self, other: float) -> bool:
        return other in self.apart or (self.sign != 0 and self.sign * other <= 0)

    def __hash__(self) -> int:
        return hash((id(self.recorder), self.expression))

    def __gt__(self, other: Any) -> bool:
        return self._is_beyond(other, 1)

    def __lt__(self, other: Any) -> bool:
        return self._is_beyond(other, -1)

    __ge__, __le__ = __gt__, __lt__  # 0 is excluded

    def _is_beyond(self, other: Any, sign: int) -> bool:
        if self.sign == 0 or not isinstance(other, int | float) or other != 0:
            raise self.recorder.unresolved("how large a number is")
        return self.sign == sign

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise self.recorder.unresolved("the value of a number")

    __float__ = __int__ = __index__ = __complex__ = __round__ = __array__ = _refuse
    __trunc__ = __floor__ = __ceil__ = __mod__ = __floordiv__ = __format__ = __reduce__ = _refuse

    def __repr__(self) -> str:
        return f"Placeholder{self.expression!r}"


def sqrt(value: Any) -> Any:
    """Square root of a number or placeholder."""
    if not isinstance(value, Placeholder):
        return math.sqrt(value)
    return Placeholder(value.recorder, ("sqrt", value.expression), value.sign)


def array(value: Any, like: Any) -> Any:
    """A placeholder as a scalar of a dtype (or of an array's), as a number in the code; others
    unchanged.
    """
    if not isinstance(value, Placeholder):
        return value
    import jax

    scalar = value.recorder.array(value.expression)
    dtype = jax.dtypes.canonicalize_dtype(getattr(like, "dtype", like))
    return scalar.astype(dtype) if jax.dtypes.issubdtype(dtype, np.floating) else scalar


def check(function: Callable[..., None], *values: Any) -> None:
    """`function(*values)`, which raises SpecError; with placeholders before each run."""
    given = next((value for value in values if isinstance(value, Placeholder)), None)
    if given is None:
        function(*values)
        return
    parts = (each.expression if isinstance(each, Placeholder) else each for each in values)
    given.recorder.checks.append((function, tuple(parts)))


def _sign(value: Any) -> int:
    if isinstance(value, Placeholder):
        return value.sign
    if not isinstance(value, int | float):
        return 0
    return (value > 0) - (value < 0)


def _arithmetic(name: str, value: Any, other: Any, swapped: bool) -> Any:
    import jax.numpy as jnp

    pair = (jnp.asarray(other), value) if swapped else (value, jnp.asarray(other))
    return getattr(jnp, name)(*pair)


def evaluate(expression: Any, given: Sequence[Any]) -> Any:
    """An expression at numbers (or arrays of them), in float64 as Python evaluates it."""
    if not isinstance(expression, tuple):
        return expression
    name, *parts = expression
    if name == "number":
        return given[parts[0]]
    values = [evaluate(part, given) for part in parts]
    if name == "power":
        return _power(*values)
    if any(isinstance(value, np.ndarray) for value in values):
        return getattr(np, name)(*values)
    return _ON_NUMBERS[name](*values)


def _power(base: Any, exponent: Any) -> Any:
    """Python's power: that of NumPy arrays may differ in the last digit."""
    if not isinstance(base, np.ndarray) and not isinstance(exponent, np.ndarray):
        return base**exponent
    bases, exponents = np.broadcast_arrays(base, exponent)
    pairs = zip(bases.ravel().tolist(), exponents.ravel().tolist(), strict=True)
    return np.array([one**other for one, other in pairs]).reshape(bases.shape)


_ON_NUMBERS: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a / b,
    "negative": lambda a: -a,
    "absolute": abs,
    "sqrt": math.sqrt,
    # of `decisions` alone
    "value": lambda a: a,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "greater": operator.gt,
    "less": operator.lt,
    "greater_equal": operator.ge,
    "less_equal": operator.le,
}
