"""Derivatives that a function declares by itself must be those of its values."""

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun

from deepinit.deferral.program import opened
from deepinit.reading.refusals import refusal

_INNER = {
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
_TOLERANCE = 1e-3  # of the largest; straight-through and other surrogate derivatives are far off


def check_derivatives(closed: ClosedJaxpr) -> None:
    """SpecError: a custom derivative that is not that of the values, as of straight-through."""
    for equation, path in _custom(closed.jaxpr, ""):
        if not _agrees(_Call(equation)):
            function = str(equation.params.get("name") or "a function")
            what = f"{function}, whose custom derivative is not that of its values"
            allowed = "functions and their derivatives (no straight-through estimators)"
            raise refusal(path or "an activation", what, allowed)


class _Call:
    """An equation; equal where the inner function reads the same."""

    def __init__(self, equation: Any) -> None:
        self.equation = equation
        self.inner = equation.params[_INNER[equation.primitive.name]]
        self.text = f"{equation.primitive.name}{self.inner}{_rule(equation)}"

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Call) and self.text == other.text


def _rule(equation: Any) -> str:
    """Names the function of the derivative."""
    rule = equation.params.get("jvp_jaxpr_fun", equation.params.get("bwd"))
    return f"{id(getattr(rule, 'f', rule))}"


@functools.lru_cache(maxsize=128)
def _agrees(call: _Call) -> bool:
    inner, consts = opened(call.inner)
    rng = np.random.default_rng(11)
    values = [_value(rng, var.aval) for var in inner.invars]
    real = [place for place, own in enumerate(values) if jnp.issubdtype(own.dtype, jnp.floating)]
    own = jaxpr_as_fun(ClosedJaxpr(inner, consts))

    def gradients(function: Any) -> Any:
        def of_real(*given: Any) -> Any:
            every = list(values)
            for place, value in zip(real, given, strict=True):
                every[place] = value
            found = [own for own in function(*every) if jnp.issubdtype(own.dtype, jnp.floating)]
            weights = [jnp.cos(jnp.arange(own.size)).reshape(own.shape) for own in found]
            return sum(jnp.sum(a * b) for a, b in zip(found, weights, strict=True))

        return jax.grad(of_real, argnums=tuple(range(len(real))))(
            *(values[place] for place in real)
        )

    if not real:
        return True
    first, second = gradients(lambda *every: _bound(call.equation, every)), gradients(own)
    return all(
        np.abs(np.asarray(a - b)).max(initial=0) <= _TOLERANCE * (1 + np.abs(np.asarray(b)).max())
        for a, b in zip(first, second, strict=True)
    )


def _bound(equation: Any, values: Any) -> list[Any]:
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # by version of JAX
    found = equation.primitive.bind(*functions, *values, **params)
    return list(found) if equation.primitive.multiple_results else [found]


def _value(rng: Any, aval: Any) -> Any:
    if jnp.issubdtype(aval.dtype, jnp.floating):
        return jnp.asarray(rng.standard_normal(aval.shape), aval.dtype)
    return jnp.ones(aval.shape, aval.dtype)


def _custom(jaxpr: Any, path: str) -> Iterator[tuple[Any, str]]:
    """Equations with derivatives of their own, and the modules around them."""
    for equation in jaxpr.eqns:
        own = "/".join(part for part in (path, str(equation.source_info.name_stack)) if part)
        if equation.primitive.name in _INNER:
            yield equation, own
        for value in equation.params.values():
            for item in value if isinstance(value, tuple | list) else (value,):
                inner = getattr(item, "jaxpr", item)
                if hasattr(inner, "eqns"):
                    yield from _custom(inner, own)
