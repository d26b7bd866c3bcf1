"""Evaluation of a jaxpr with its switches: max, abs, comparisons, floor, ...

Smooth operations with switches fail to be smooth only where a switch changes state. With all states
held, the result is the smooth continuation.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np


class Switch(NamedTuple):
    """One switch at the points of evaluation: `state` is constant between thresholds.

    `gaps`: arguments with thresholds at zeros, or at integers for a step function. `is_step`:
    floor, round, ...: any value may be a threshold.
    """

    state: np.ndarray
    gaps: tuple[np.ndarray, ...]
    is_step: bool


def evaluate(
    jaxpr: Any, x: np.ndarray, held: Iterator[Switch] | None = None
) -> tuple[np.ndarray, list[Switch]]:
    """Function at x and its switches, in their own states or those of `held`.

    Closed jaxpr of one array of x's shape, in and out. Loops stay closed.
    """
    import jax.numpy as jnp

    record: list[Switch] = []
    with np.errstate(all="ignore"):
        (result,) = _run(jaxpr.jaxpr, jaxpr.consts, [jnp.asarray(x)], record, held)
    return np.broadcast_to(np.asarray(result, np.float64), x.shape), record


def _run(jaxpr: Any, consts: Any, arguments: list[Any], record: list, held: Any) -> list[Any]:
    values: dict[Any, Any] = dict(zip(jaxpr.constvars, consts, strict=True))
    values.update(zip(jaxpr.invars, arguments, strict=True))
    read = lambda atom: atom.val if hasattr(atom, "val") else values[atom]
    for equation in jaxpr.eqns:
        outputs = _apply(equation, [read(atom) for atom in equation.invars], record, held)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def inner_jaxpr(equation: Any) -> tuple[Any, Any] | None:
    """(jaxpr, consts) of a call that is no loop: jit, custom_jvp, ..."""
    params = equation.params
    body = next((params[key] for key in ("jaxpr", "call_jaxpr") if key in params), None)
    if body is None or equation.primitive.name in ("scan", "while", "cond"):
        return None
    inner, consts = (body.jaxpr, body.consts) if hasattr(body, "jaxpr") else (body, ())
    return (inner, consts) if len(inner.invars) == len(equation.invars) else None


def _apply(equation: Any, inputs: list[Any], record: list, held: Any) -> list[Any]:
    name, params = equation.primitive.name, equation.params
    inner = inner_jaxpr(equation)
    if inner is not None:
        return _run(*inner, inputs, record, held)
    switch = _SWITCHES.get(name)
    if name == "convert_element_type" and np.issubdtype(params["new_dtype"], np.inexact):
        switch = None
    if switch is not None and np.issubdtype(np.asarray(inputs[0]).dtype, np.floating):
        import jax.numpy as jnp

        state_of, value_of = switch
        state = next(held).state if held is not None else np.asarray(state_of(*inputs, **params))
        record.append(Switch(state, _gaps(name, inputs), name in _STEPS))
        return [jnp.asarray(value_of(state, *inputs), equation.outvars[0].aval.dtype)]
    given = equation.primitive.get_bind_params(params)
    functions, rest = given if isinstance(given, tuple) else ((), given)  # of older JAX
    results = equation.primitive.bind(*functions, *inputs, **rest)
    return list(results) if equation.primitive.multiple_results else [results]


def _gaps(name: str, inputs: list[Any]) -> tuple[np.ndarray, ...]:
    numbers = [np.asarray(value) for value in inputs]
    if name == "clamp":
        return numbers[1] - numbers[0], numbers[1] - numbers[2]
    if name == "rem":
        return (numbers[0] / numbers[1],)
    return (numbers[0] - numbers[1],) if len(numbers) == 2 else (numbers[0],)


def _order(a: Any, b: Any, **_: Any) -> np.ndarray:
    """Sign of a - b: -1, 0 or 1."""
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


_STEPS = {"floor", "ceil", "round", "convert_element_type", "rem"}
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
