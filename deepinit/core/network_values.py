"""Values of users' functions at fixed arguments, for identities."""

import functools
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deepinit.core.errors import DeepinitError
from deepinit.core.host import in_float64

_NUM_OUTPUTS = 4
_DIGITS = {64: 7, 32: 3}  # by the bits of the narrowest float in the computation
# Operations that round nothing beyond their operands.
_EXACT = {
    "broadcast_in_dim", "concatenate", "copy", "dynamic_slice", "expand_dims", "gather", "iota",
    "pad", "reshape", "rev", "select_n", "slice", "squeeze", "transpose",
}  # fmt: skip


def general_rows(shape: tuple[int, ...], start: float = 1.0) -> np.ndarray:
    """Generic numbers in about [-1, 1], multiples of 1/128: exact in every format."""
    numbers = np.sin(start + 2.3 * np.arange(math.prod(shape))).reshape(shape)
    return np.round(128.0 * numbers) / 128.0


def general_parameters(shapes: Any) -> Any:
    """Generic NumPy parameters for a tree of shapes and dtypes; integers are 0.

    Matrix columns (outputs on the last axis, as in flax) have mean square 1 / fan_in, vectors are
    positive, about 1/2.
    """
    import jax

    def parameter(leaf: Any) -> Any:
        if not _is_float(leaf):
            return np.zeros(leaf.shape, leaf.dtype)
        rows = general_rows(leaf.shape)
        if len(leaf.shape) < 2:
            return 0.5 + 0.25 * rows
        return math.sqrt(2.0 / max(1, math.prod(leaf.shape[:-1]))) * rows

    return jax.tree.map(parameter, shapes)


def network_values(
    init: Callable[..., Any], apply: Callable[..., Any], input_width: int
) -> tuple[np.ndarray, int]:
    """Outputs of `apply` [2, at most 4] at generic parameters, and common digits (`values_at`).

    In float64, unless `apply` casts to a narrower type.
    Raises SpecError: from `init` or `apply`.
    """
    return _network_values(init, apply, input_width)


@functools.lru_cache(maxsize=64)  # a compilation each
def _network_values(init: Any, apply: Any, input_width: int) -> tuple[np.ndarray, int]:
    import jax

    def given() -> Any:
        shapes = jax.eval_shape(lambda key: init(key, input_width), jax.random.key(0))
        return general_parameters(shapes), general_rows((2, input_width), 0.5)

    def outputs(parameters: Any, rows: Any) -> Any:
        return jax.vmap(apply, (None, 0))(parameters, rows)

    values, digits = values_at(outputs, given)
    if digits:
        values = values.reshape(2, -1)
        values = values[:, :: max(1, values.shape[1] // _NUM_OUTPUTS)][:, :_NUM_OUTPUTS]
    return values, digits


def values_at(
    function: Callable[..., Any], given: Callable[[], tuple[Any, ...]]
) -> tuple[np.ndarray, int]:
    """Flat array in float64 (float32 if required), and digits equal on all processors.

    Digits of its largest value: 7 in float64, 3 in float32, 0 (no values) in narrower types.
    `given` makes the function's arguments with float64 enabled.
    """
    import jax

    def at(dtype: Any) -> tuple[np.ndarray, int]:
        cast = lambda leaf: leaf.astype(dtype) if _is_float(leaf) else leaf
        arguments = jax.tree.map(cast, given())
        traced = jax.jit(function).trace(*arguments)
        digits = _DIGITS.get(_narrowest(traced.jaxpr.jaxpr), 0)
        if not digits:
            return np.zeros(0), 0
        # optimization would take longer than the computation
        compiled = traced.lower().compile(compiler_options={"xla_backend_optimization_level": 0})
        return np.asarray(compiled(*arguments), np.float64).ravel(), digits

    for dtype in (np.float64, np.float32):
        try:
            return in_float64(functools.partial(at, dtype))
        except DeepinitError:
            raise
        except Exception:  # noqa: BLE001 - no float64, or an error that simulation reports
            continue
    return np.zeros(0), 0


def _narrowest(jaxpr: Any, is_outer: bool = True) -> int:
    """Bits of the narrowest float rounded to."""
    given = set(map(id, jaxpr.invars)) if is_outer else set()
    bits = [64]
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        inner = list(_inner(equation.params))
        bits += [_narrowest(body, False) for body in inner]
        operands_are_given = all(
            id(operand) in given for operand in equation.invars if not hasattr(operand, "val")
        )
        if inner or name in _EXACT or (name == "convert_element_type" and operands_are_given):
            if operands_are_given and not inner:
                given.update(map(id, equation.outvars))
            continue
        bits += [8 * out.aval.dtype.itemsize for out in equation.outvars if _is_float(out.aval)]
    return min(bits)


def _is_float(aval: Any) -> bool:
    import jax.numpy as jnp

    return jnp.issubdtype(aval.dtype, jnp.floating)


def _inner(parameters: dict[str, Any]) -> Iterator[Any]:
    """Inner jaxprs: jit, loops, branches, custom derivatives."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if hasattr(inner, "eqns"):
                yield inner
