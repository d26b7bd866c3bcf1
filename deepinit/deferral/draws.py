"""Laws of drawn arrays, read from traced equations."""

import functools
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.generator import standard_normals

Law = Literal["normal", "uniform", "truncated_normal"]

_BY_NAME: dict[str, Law] = {
    "_normal": "normal",
    "_normal_real": "normal",
    "_uniform": "uniform",
    "_truncated_normal": "truncated_normal",
}


class Draw(NamedTuple):
    """Independent entries of one law; `uniform` and `truncated_normal` between two bounds.

    The first operand is the key, or an array of keys, one for each index of leading axes.

    Attributes:
        num_key_axes: of the array of keys.
        scale: of a normal law, its standard deviation.
        is_inverse: a normal law as erf_inv of a uniform one, which is the last operand.
    """

    law: Law
    num_key_axes: int = 0
    scale: float = 1.0
    is_inverse: bool = False


def draw_of(equation: Any) -> Draw | None:
    """The law of a call of `jax.random`; None of other equations."""
    law = _BY_NAME.get(str(equation.params.get("name", "")))
    if law is None or equation.primitive.name not in ("jit", "pjit") or not equation.invars:
        return None
    out, key = equation.outvars[0].aval, equation.invars[0].aval
    if len(equation.outvars) != 1 or not jnp.issubdtype(out.dtype, jnp.floating):
        return None
    has_key = "key" in str(key.dtype)
    has_bounds = law == "normal" or (
        len(equation.invars) == 3 and all(atom.aval.shape == () for atom in equation.invars[1:])
    )
    if not has_key or not has_bounds or out.shape[: key.ndim] != key.shape:
        return None
    inputs = tuple(map(_type, equation.invars))
    known = _functions(law, out.shape[key.ndim :], out.dtype, inputs)
    return Draw(law, key.ndim) if _text(equation.params["jaxpr"]) in known else None


def _type(operand: Any) -> Any:
    aval = operand.aval
    weak = getattr(aval, "weak_type", False)
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=weak)


@functools.lru_cache(maxsize=512)
def _functions(law: Law, shape: Any, dtype: Any, inputs: tuple[Any, ...]) -> frozenset[str]:
    """Texts of the functions that draw such an array: a user's own may have the same name."""
    draws: tuple[Any, ...] = {
        "normal": (
            lambda key: jax.random.normal(key, shape, dtype),
            lambda key: standard_normals(key, shape, dtype),
        ),
        "uniform": (lambda key, low, high: jax.random.uniform(key, shape, dtype, low, high),),
        "truncated_normal": (
            lambda key, low, high: jax.random.truncated_normal(key, low, high, shape, dtype),
        ),
    }[law]
    found: set[str] = set()
    for draw in draws:
        for _ in inputs[0].shape:
            draw = jax.vmap(draw, in_axes=(0, *(None for _ in inputs[1:])))
        found |= set(map(_text, _named(jax.make_jaxpr(draw)(*inputs))))
    return frozenset(found)


def _named(jaxpr: Any) -> Iterator[Any]:
    """Functions called in it with the name of a law."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit"):
            inner = equation.params["jaxpr"]
            if str(equation.params["name"]) in _BY_NAME:
                yield inner
            yield from _named(inner)


_text = functools.lru_cache(maxsize=512)(str)  # JAX traces a function once for each shape


def is_full_precision(dtype: Any) -> bool:
    """Whether normals are Gaussian: those of bfloat16 take 128 values, with variance 0.993."""
    return dtype in (jnp.float32, jnp.float64)


def moments(law: Law, bounds: tuple[Any, ...]) -> tuple[Any, Any]:
    """Mean and standard deviation; bounds are numbers or arrays."""
    if law == "normal":
        return 0.0, 1.0
    low, high = bounds
    if law == "uniform":
        return (high + low) / 2, (high - low) / math.sqrt(12.0)
    density = lambda z: jnp.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    from jax.scipy.special import ndtr

    low, high = (jnp.asarray(bound, jnp.float32) for bound in bounds)
    mass = ndtr(high) - ndtr(low)
    mean = (density(low) - density(high)) / mass
    second = 1 + (low * density(low) - high * density(high)) / mass
    return mean, jnp.sqrt(second - mean**2)


def is_open_interval(bounds: tuple[Any, ...]) -> bool:
    """Whether bounds are known to be -1 and 1 up to rounding: then erf_inv gives a Gaussian."""
    try:
        low, high = (float(np.asarray(bound)) for bound in bounds)
    except Exception:  # noqa: BLE001 - tracers raise errors of many kinds
        return False
    return abs(low + 1) < 1e-6 and abs(high - 1) < 1e-6
