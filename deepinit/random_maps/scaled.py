"""Vectors of any size: x = mantissa * 2^exponent, with an exact integer exponent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.array_api import array_namespace
from deepinit.core.typing import Array, Bool, Float, Int, Like, Plain, Real

SATURATED = 2**27  # |exponent| of an infinitely small or large vector
LN2 = 0.6931471805599453


class Scaled(NamedTuple):
    """Vector mantissa * 2^exponent, largest |entry| of mantissa [..., n] in [1/2, 1), or zeros.

    Entries more than 2^126 (float32) below the largest underflow to 0.
    """

    mantissa: Float[jax.Array, "..."]
    exponent: Int[jax.Array, "..."]


def as_scaled(x: Scaled | Real[Array, "*shape n"] | Plain) -> Scaled:
    """`Scaled` from an array [..., n] (integers become floats) or a `Scaled`."""
    if isinstance(x, Scaled):
        return x
    x = jnp.asarray(x)
    x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
    return normalized(x, jnp.zeros(x.shape[:-1], jnp.int32))


@jax.jit
def normalized(x: Float[jax.Array, "*shape n"], exponent: Int[Like, "..."] | int) -> Scaled:
    """x * 2^exponent with the largest |entry| of its mantissa in [1/2, 1)."""
    top = jax.lax.stop_gradient(jnp.max(jnp.abs(x), axis=-1))
    shift = jnp.frexp(top)[1].astype(jnp.int32)
    moved = jnp.clip(exponent + shift, -SATURATED, SATURATED)
    return Scaled(shifted(x, -shift[..., None]), jnp.where(top == 0, 0, moved).astype(jnp.int32))


def shifted(x: Float[jax.Array, "..."], exponent: Int[jax.Array, "..."]) -> Float[jax.Array, "..."]:
    """x * 2^exponent, exact while the result is normal; 0 or infinite beyond."""
    most = jnp.finfo(x.dtype).maxexp - 2  # 2^most and 2^-most are both normal
    exponent = jnp.clip(exponent, -2 * most, 2 * most)
    half = exponent // 2
    one = jnp.ones((), x.dtype)
    return x * jnp.ldexp(one, half) * jnp.ldexp(one, exponent - half)


@jax.jit
def to_array(x: Scaled) -> Float[jax.Array, "*shape n"]:
    """Array of the vector: 0 where it underflows, infinite where it overflows."""
    return shifted(x.mantissa, x.exponent[..., None])


@jax.jit
def added(x: Scaled, y: Scaled) -> Scaled:
    """x + y."""
    low = jnp.iinfo(jnp.int32).min // 4
    x_exponent = jnp.where(is_zero(x), low, x.exponent)
    y_exponent = jnp.where(is_zero(y), low, y.exponent)
    top = jnp.maximum(x_exponent, y_exponent)
    first = shifted(x.mantissa, (x_exponent - top)[..., None])
    second = shifted(y.mantissa, (y_exponent - top)[..., None])
    return normalized(first + second, top)


@jax.jit
def image(weights: Real[Array, "m n"], x: Scaled) -> Scaled:
    """weights @ x, for weights [m, n]."""
    images = jnp.matmul(x.mantissa, jnp.swapaxes(weights, -1, -2), precision="highest")
    return normalized(images, x.exponent)


def is_zero(x: Scaled) -> Bool[jax.Array, "*shape"]:
    """[...]: zero vectors."""
    return jnp.all(x.mantissa == 0, axis=-1)


@jax.jit
def log_norm(x: Scaled) -> Float[jax.Array, "*shape"]:
    """ln |x|: [...]; -inf for the zero vector, -inf or inf for a saturated one."""
    value = x.exponent * jnp.asarray(LN2, x.mantissa.dtype) + _log_size(x)
    infinite = jnp.where(x.exponent > 0, jnp.inf, -jnp.inf).astype(value.dtype)
    return jnp.where((jnp.abs(x.exponent) >= SATURATED) & ~is_zero(x), infinite, value)


@jax.jit
def log_norm_increment(before: Scaled, after: Scaled) -> Float[jax.Array, "*shape"]:
    """ln |after| - ln |before| to full precision.

    -inf at a death; NaN after it and for saturated vectors.
    """
    gained = (after.exponent - before.exponent) * jnp.asarray(LN2, after.mantissa.dtype)
    value = gained + _log_size(after) - _log_size(before)
    saturated = [jnp.abs(x.exponent) >= SATURATED for x in (before, after)]
    return jnp.where(is_zero(before) | saturated[0] | saturated[1], jnp.nan, value)


@jax.jit
def log_ratios(
    x: Scaled | Real[Array, "*shape n"] | Plain, y: Scaled | Real[Array, "*shape n"] | Plain
) -> Float[jax.Array, "..."]:
    """ln x_i - ln y_i of positive vectors: [..., n]; NaN for other entries."""
    x, y = as_scaled(x), as_scaled(y)
    shift = (x.exponent - y.exponent)[..., None] * jnp.asarray(LN2, x.mantissa.dtype)
    positive = (x.mantissa > 0) & (y.mantissa > 0)
    safe = [jnp.where(positive, mantissa, 1) for mantissa in (x.mantissa, y.mantissa)]
    return jnp.where(positive, _log_quotient(*safe) + shift, jnp.nan)


def largest(x: Float[Like, "..."], axis: int = -1) -> Float[Like, "..."]:
    """max along an axis, NaN if an entry is NaN (XLA's CPU reduction can lose NaN, jaxlib 0.10)."""
    xp = array_namespace(x)
    return xp.where(xp.any(xp.isnan(x), axis=axis), xp.nan, xp.max(x, axis=axis))


def _log_quotient(x: jax.Array, y: jax.Array) -> jax.Array:
    """ln(x / y) = 2 artanh((x - y) / (x + y)), by its series near x = y.

    XLA's log1p on CPU loses 60 units in the last place.
    """
    r = (x - y) / (x + y)
    small = jnp.where(jnp.abs(r) < 0.1, r, 0)
    series = jnp.zeros_like(r)
    for k in range(8, -1, -1):
        series = series * small * small + 1.0 / (2 * k + 1)
    return jnp.where(jnp.abs(r) < 0.1, 2.0 * small * series, jnp.log(x) - jnp.log(y))


def _log_size(x: Scaled) -> jax.Array:
    return 0.5 * jnp.log(jnp.sum(x.mantissa * x.mantissa, axis=-1))
