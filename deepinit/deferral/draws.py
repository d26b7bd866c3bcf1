"""Laws of drawn arrays, read from traced equations."""

import math
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

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
    return Draw(law, key.ndim)


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
