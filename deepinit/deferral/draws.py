"""Laws of drawn arrays, read from traced equations."""

import functools
import math
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.generator import standard_normals
from deepinit.core.paired_normals import paired_normals

Law = Literal["normal", "uniform", "truncated_normal", "orthogonal"]
EXACT: tuple[Law, ...] = ("normal", "orthogonal")  # those that no other stands for

_BY_NAME: dict[str, Law] = {
    "_normal": "normal",
    "_normal_real": "normal",
    "_uniform": "uniform",
    "_truncated_normal": "truncated_normal",
    "_orthogonal": "orthogonal",
}


class Draw(NamedTuple):
    """Independent entries of one law; `uniform` and `truncated_normal` between two bounds.

    `orthogonal`: uniform matrices with orthonormal rows or columns, in the last two axes.
    The first operand is the key, or an array of keys, one for each index of leading axes.

    Attributes:
        num_key_axes: of the array of keys.
        scale: of a normal law, its standard deviation.
        has_length: a uniform law with the length of the interval as second bound.
    """

    law: Law
    num_key_axes: int = 0
    scale: float = 1.0
    has_length: bool = False


def draw_of(equation: Any) -> Draw | None:
    """The law of a call of `jax.random`; None of other equations."""
    law = _BY_NAME.get(str(equation.params.get("name", "")))
    if law is None or equation.primitive.name not in ("jit", "pjit") or not equation.invars:
        return None
    if _source(equation) not in _sources():
        return None
    out, key = equation.outvars[0].aval, equation.invars[0].aval
    if len(equation.outvars) != 1 or not jnp.issubdtype(out.dtype, jnp.floating):
        return None
    has_key = "key" in str(key.dtype)
    bounds = equation.invars[1:]  # of a normal law: what JAX computes once for all steps of a loop
    has_length = law == "uniform" and _has_length(_open(equation.params["jaxpr"]))
    sizes = [bound.aval.size for bound in bounds]
    has_bounds = law in EXACT or sizes == [1, 1]
    if not has_key or not has_bounds or out.shape[: key.ndim] != key.shape:
        return None
    return Draw(law, key.ndim, has_length=has_length)


def _has_length(jaxpr: Any) -> bool:
    """Whether the bits are multiplied by the second bound, which JAX computes before a loop."""
    return any(
        equation.primitive.name == "mul" and jaxpr.invars[-1] in equation.invars
        for equation in jaxpr.eqns
    )


def _source(equation: Any) -> tuple[str, str]:
    """Name and place in the source of a function: a user's own may have the same name."""
    place = getattr(_open(equation.params["jaxpr"]).debug_info, "func_src_info", "")
    return str(equation.params["name"]), str(place)


@functools.cache
def _sources() -> frozenset[tuple[str, str]]:
    """Of the functions that draw arrays."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    draws = (
        lambda key: jax.random.normal(key, (2,)),
        lambda key: standard_normals(key, (2,), jnp.float32),
        lambda key: paired_normals(key, (2,), jnp.float32),
        lambda key: jax.random.uniform(key, (2,)),
        lambda key: jax.random.truncated_normal(key, -2, 2, (2,)),
        lambda key: jax.random.orthogonal(key, 2),
    )
    with jax.disable_jit(False):
        return frozenset(
            source for draw in draws for source in _named(jax.make_jaxpr(draw)(key).jaxpr)
        )


def _open(jaxpr: Any) -> Any:
    return getattr(jaxpr, "jaxpr", jaxpr)


def _named(jaxpr: Any) -> Iterator[tuple[str, str]]:
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("jit", "pjit"):
            yield _source(equation)
            yield from _named(_open(equation.params["jaxpr"]))


def is_full_precision(dtype: Any) -> bool:
    """Whether normals are Gaussian: those of bfloat16 take 128 values, with variance 0.993."""
    return dtype in (jnp.float32, jnp.float64)


def interval(draw: Draw, bounds: tuple[Any, ...]) -> tuple[Any, Any]:
    """Both ends, from bounds of one number each."""
    low, high = (jnp.reshape(bound, ()) for bound in bounds)
    return low, low + high if draw.has_length else high


def moments(draw: Draw, bounds: tuple[Any, ...]) -> tuple[Any, Any]:
    """Mean and standard deviation."""
    if draw.law in EXACT:
        return 0.0, draw.scale
    low, high = interval(draw, bounds)
    if draw.law == "uniform":
        return (high + low) / 2, (high - low) / math.sqrt(12.0)
    density = lambda z: jnp.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    from jax.scipy.special import ndtr

    low, high = (jnp.asarray(bound, jnp.float32) for bound in (low, high))
    mass = ndtr(high) - ndtr(low)
    mean = (density(low) - density(high)) / mass
    second = 1 + (low * density(low) - high * density(high)) / mass
    return mean, jnp.sqrt(second - mean**2)


def is_open_interval(draw: Draw, bounds: tuple[Any, ...]) -> bool:
    """Whether it is known to be (-1, 1) up to rounding: then erf_inv gives a Gaussian."""
    try:
        low, high = (float(np.asarray(bound).reshape(())) for bound in bounds)
    except Exception:  # noqa: BLE001 - tracers raise errors of many kinds
        return False
    high = low + high if draw.has_length else high
    return abs(low + 1) < 1e-6 and abs(high - 1) < 1e-6
