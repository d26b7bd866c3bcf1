"""Where a function of one variable has kinks, found from the operations that it is made of.

A composition of smooth operations with max, min, abs, comparisons, floor, ... can fail to be smooth
only where one of these switches: where x crosses a threshold, x - a of max(x, a) changes sign,
floor(x) steps. The jaxpr of the function is evaluated with the state of every switch recorded; a
change of state between two points is bisected to neighbouring floats.

A switch need not be a kink (log(1 + e^x) is computed with max and abs). The function with all
switches held as they are on the left is its continuation from there; the same from the right. The
two agree as functions where the function is smooth, and differ where any derivative jumps.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

MOST_KINKS = 16
_SIDE = 1e-7  # how far from a kink, relative to 1 + |kink|, its sides begin
_AROUND = np.array([-0.3, -0.15, -0.05, 0.0, 0.05, 0.15, 0.3])  # where continuations are compared
_SAME = 1e-11
_ROUNDS = 24


class Kinks(NamedTuple):
    """What was found.

    Attributes:
        kinks: in order; where there are more than MOST_KINKS, the first of them.
        jumps: those at which the value jumps.
        too_many: there are more than MOST_KINKS.
    """

    kinks: tuple[float, ...]
    jumps: tuple[float, ...]
    too_many: bool = False


def search_grid(size: int) -> np.ndarray:
    """[size] points from -10^6 to 10^6, 1/32 apart on [-12, 12], with powers of 1/2 near 0."""
    near = 2.0 ** -np.arange(6.0, 41.0)
    inner = np.arange(-384.0, 385.0) / 32.0
    tail = np.geomspace(12.0, 1e6, (size - len(inner) - 2 * len(near)) // 2 + 1)[1:]
    points = np.unique(np.concatenate([inner, near, -near, tail, -tail]))
    return np.concatenate([points, np.linspace(2e6, 3e6, size - len(points))])


def find_kinks(jaxpr: Any, grid: np.ndarray) -> Kinks:
    """The kinks of a function, from its jaxpr on float64 arrays of the shape of the grid.

    Args:
        jaxpr: closed; one array in, one array of the same shape out. Loops and look-ups in it
            are not looked into.
        grid: [m], increasing.
    """
    states_at = lambda x: _padded_states(jaxpr, x, len(grid))
    states = states_at(grid)
    brackets: list[tuple[int, int]] = [
        (switch, place)
        for switch, state in enumerate(states)
        for place in np.flatnonzero(state[1:] != state[:-1]).tolist()
    ]
    if not brackets:
        return Kinks((), ())
    if len({place for _, place in brackets}) > 4 * MOST_KINKS:
        places = sorted({float(grid[place]) for _, place in brackets}, key=abs)
        return Kinks(tuple(sorted(places[:MOST_KINKS])), (), True)
    found = _distinct(_bisected(states_at, grid, brackets))
    if len(found) > 4 * MOST_KINKS:
        return Kinks(tuple(sorted(found, key=abs)[:MOST_KINKS]), (), True)
    kinks, jumps = _classified(jaxpr, found, len(grid))
    return Kinks(kinks, jumps, len(kinks) > MOST_KINKS)


def _bisected(states_at: Callable, grid: np.ndarray, brackets: list[tuple[int, int]]) -> np.ndarray:
    """Each change of state between neighbouring floats, the one that is written shorter."""
    which = np.array([switch for switch, _ in brackets])
    low = grid[[place for _, place in brackets]]
    high = grid[[place + 1 for _, place in brackets]]
    batch = max(1, len(grid) // 16)
    for start in range(0, len(which), batch):
        part = slice(start, start + batch)
        low[part], high[part] = _narrowed(states_at, which[part], low[part], high[part], len(grid))
    return np.array([min((a, b), key=_length) for a, b in zip(low, high, strict=True)])


def _narrowed(
    states_at: Callable, which: np.ndarray, low: np.ndarray, high: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    points = size // len(which)
    rows = np.arange(len(which))
    for _ in range(_ROUNDS):
        if (high <= np.nextafter(low, np.inf)).all():
            break
        x = low[:, None] + (high - low)[:, None] * np.linspace(0.0, 1.0, points)
        x[:, -1] = high
        states = states_at(x.ravel())
        own = np.stack(
            [states[switch].reshape(len(which), -1)[row] for row, switch in enumerate(which)]
        )
        changed = np.argmax(own != own[:, :1], axis=1)
        low, high = x[rows, np.maximum(changed, 1) - 1], x[rows, np.maximum(changed, 1)]
    return low, high


def _length(number: float) -> tuple[int, float]:
    return len(repr(float(number))), abs(number)


def _distinct(points: np.ndarray) -> list[float]:
    kept: list[float] = []
    for point in sorted(float(point) + 0.0 for point in points):
        if not kept or point - kept[-1] > 1e-13 * (1e-12 + abs(point)):
            kept.append(point)
    return kept


def _classified(
    jaxpr: Any, points: list[float], size: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The points at which the continuations from both sides differ, and where their values do."""
    gaps = np.diff([-np.inf, *points, np.inf])
    kinks, jumps = [], []
    for point, gap in zip(points, np.minimum(gaps[1:], gaps[:-1]), strict=True):
        side = min(_SIDE * (1.0 + abs(point)), 0.25 * gap)
        around = point + _AROUND * max(1.0, abs(point))
        references = np.repeat([point - side, point + side], len(around))
        record: list[np.ndarray] = []
        _evaluate(jaxpr, _padded(references, size), record, None)
        # exact: both sides are evaluated at the same points, the kink itself among them
        continued = _evaluate(jaxpr, _padded(np.tile(around, 2), size), [], iter(record))
        left, right = continued[: 2 * len(around)].reshape(2, -1)
        scale = np.abs(left[np.isfinite(left)]).max(initial=0.0)
        scale = max(scale, np.abs(right[np.isfinite(right)]).max(initial=0.0))
        differ = ~(np.abs(left - right) <= _SAME * scale)
        differ &= ~((left == right) | (np.isnan(left) & np.isnan(right)))
        if differ.any():
            kinks.append(point)
        if differ[len(_AROUND) // 2] and np.isfinite(left + right)[len(_AROUND) // 2]:
            jumps.append(point)
    return tuple(kinks), tuple(jumps)


def _padded(x: np.ndarray, size: int) -> np.ndarray:
    return np.concatenate([x, np.full(size - len(x), x[-1])])


def _padded_states(jaxpr: Any, x: np.ndarray, size: int) -> list[np.ndarray]:
    record: list[np.ndarray] = []
    _evaluate(jaxpr, _padded(x, size), record, None)
    return [np.broadcast_to(state, (size,))[: len(x)] for state in record]


def _evaluate(
    jaxpr: Any, x: np.ndarray, record: list[np.ndarray], held: Iterator[np.ndarray] | None
) -> np.ndarray:
    """The function at x, every switch in its own state (appended to `record`) or in a held one."""
    import jax.numpy as jnp

    with np.errstate(all="ignore"):
        (found,) = _run(jaxpr.jaxpr, jaxpr.consts, [jnp.asarray(x)], record, held)
    return np.broadcast_to(np.asarray(found, np.float64), x.shape)


def _run(jaxpr: Any, consts: Any, arguments: list[Any], record: list, held: Any) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))

    def read(atom: Any) -> Any:
        return atom.val if hasattr(atom, "val") else values[atom]

    for equation in jaxpr.eqns:
        inputs = [read(atom) for atom in equation.invars]
        outputs = _apply(equation, inputs, record, held)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(equation: Any, inputs: list[Any], record: list, held: Any) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    body = next((params[key] for key in ("jaxpr", "call_jaxpr") if key in params), None)
    if body is not None and name not in _LOOPS:
        inner, consts = (body.jaxpr, body.consts) if hasattr(body, "jaxpr") else (body, ())
        if len(inner.invars) == len(inputs):
            return _run(inner, consts, inputs, record, held)
    switch = _SWITCHES.get(name)
    if name == "convert_element_type" and np.issubdtype(params["new_dtype"], np.inexact):
        switch = None
    if switch is not None and _is_float(inputs[0]):
        state_of, value_of = switch
        state = next(held) if held is not None else np.asarray(state_of(*inputs, **params))
        record.append(state)
        dtype = equation.outvars[0].aval.dtype
        return [_array(value_of(state, *inputs), dtype)]
    given = equation.primitive.get_bind_params(params)
    functions, rest = given if isinstance(given, tuple) else ((), given)  # of older JAX
    found = equation.primitive.bind(*functions, *inputs, **rest)
    return list(found) if equation.primitive.multiple_results else [found]


def _array(value: Any, dtype: Any) -> Any:
    import jax.numpy as jnp

    return jnp.asarray(value, dtype)


def _is_float(value: Any) -> bool:
    return np.issubdtype(np.asarray(value).dtype, np.floating)


def _order(a: Any, b: Any, **_: Any) -> np.ndarray:
    """The sign of a - b, as -1, 0 or 1."""
    a, b = np.asarray(a), np.asarray(b)
    return (a > b).astype(np.int8) - (a < b).astype(np.int8)


def _sign(a: Any, **_: Any) -> np.ndarray:
    return _order(a, 0.0)


def _converted(a: Any, *, new_dtype: Any, **_: Any) -> np.ndarray:
    return np.asarray(a).astype(new_dtype)


def _comparison(compare: Callable[[np.ndarray, int], Any]) -> tuple[Callable, Callable]:
    return _order, lambda state, a, b: compare(state, 0)


def _step(function: Callable[[np.ndarray], np.ndarray]) -> tuple[Callable, Callable]:
    return (lambda a, **_: function(np.asarray(a))), lambda state, a: state


def _quotient(a: Any, b: Any, **_: Any) -> np.ndarray:
    return np.trunc(np.asarray(a) / np.asarray(b))


def _clamped(low: Any, a: Any, high: Any, **_: Any) -> np.ndarray:
    return _order(a, low) + 3 * _order(a, high)


def _round(a: Any, rounding_method: Any = None, **_: Any) -> np.ndarray:
    a = np.asarray(a)
    to_even = "EVEN" in str(rounding_method)
    return np.round(a) if to_even else np.sign(a) * np.floor(np.abs(a) + 0.5)


_LOOPS = ("scan", "while", "cond")
# (state of the switch, value in a given state)
_SWITCHES: dict[str, tuple[Callable, Callable]] = {
    "max": (_order, lambda state, a, b: np.where(state >= 0, a, b)),
    "min": (_order, lambda state, a, b: np.where(state <= 0, a, b)),
    "abs": (_sign, lambda state, a: state * np.asarray(a)),
    "sign": (_sign, lambda state, a: state),
    "clamp": (
        _clamped,
        lambda state, low, a, high: np.where(state > 2, high, np.where(state < -2, low, a)),
    ),
    "floor": _step(np.floor),
    "ceil": _step(np.ceil),
    "round": (_round, lambda state, a: state),
    "convert_element_type": (_converted, lambda state, a: state),
    "rem": (_quotient, lambda state, a, b: np.asarray(a) - state * np.asarray(b)),
    "gt": _comparison(np.greater),
    "lt": _comparison(np.less),
    "ge": _comparison(np.greater_equal),
    "le": _comparison(np.less_equal),
    "eq": _comparison(np.equal),
    "ne": _comparison(np.not_equal),
}
