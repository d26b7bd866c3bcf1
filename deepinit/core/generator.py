"""Random bits by sequential threefry on every machine, independent of JAX's default."""

import functools
import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from deepinit.core.host import require_unforked
from deepinit.core.typing import DTypeLike, Float, KeyLike, Like

# Rotations of threefry-2x32 per group of four rounds, and the constant of its key schedule.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def sequential_bits() -> AbstractContextManager[Any]:
    """Context in which `jax.random` uses both words of threefry blocks, as all draws of a network
    must.

    JAX's default (partitionable) discards one word, at twice the cost per bit, and gives other
    numbers.
    """
    import jax

    require_unforked()
    return jax.threefry_partitionable(False)


def standard_normals(
    key: KeyLike, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Like, "*shape"]:
    """`jax.random.normal(key, shape, dtype)` in sequential mode, bit for bit, faster on CPUs.

    float32 threefry rounds are unrolled into registers. Other keys and dtypes, and odd counts, use
    JAX.
    """
    import jax

    size = math.prod(shape)
    if not is_threefry(key) or np.dtype(dtype) != np.float32 or size % 2 or size == 0:
        with sequential_bits():
            return jax.random.normal(key, shape, dtype)
    return named_normal(_float32_normals)(key, shape)


def is_threefry(key: KeyLike) -> bool:
    """Whether it is one typed key of threefry2x32."""
    import jax
    import jax.numpy as jnp

    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    return typed and not key.shape and str(jax.random.key_impl(key)) == "threefry2x32"


@functools.cache
def named_normal(draw: Callable[[Any, tuple[int, ...]], Any]) -> Any:
    """The draw under the name of JAX's own, by which `deferral` knows a Gaussian array."""
    import jax

    def _normal(key: Any, shape: tuple[int, ...]) -> Any:
        return draw(key, shape)

    return jax.jit(_normal, static_argnums=1)


def folded(key: KeyLike, numbers: tuple[int, ...]) -> Any:
    """Key of its own for each tuple of integers, by one block of threefry on their 64-bit digest.

    `jax.random.fold_in` takes a compiled loop for every integer.
    """
    import jax
    import jax.numpy as jnp

    digest = hashlib.blake2b(repr(numbers).encode(), digest_size=8).digest()
    words = np.frombuffer(digest, "<u4")
    if str(jax.random.key_impl(key)) != "threefry2x32":
        return jax.random.fold_in(jax.random.fold_in(key, words[0]), words[1])
    first, second = jax.random.key_data(key)
    data = jnp.stack(threefry(first, second, words[0], words[1]))
    return jax.random.wrap_key_data(data, impl="threefry2x32")


def threefry(key0: Any, key1: Any, count0: Any, count1: Any) -> tuple[Any, Any]:
    """Threefry-2x32 of 20 rounds, elementwise on uint32 arrays of NumPy or JAX."""
    schedule = key0, key1, key0 ^ key1 ^ np.uint32(_PARITY)
    x, y = count0 + schedule[0], count1 + schedule[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            x = x + y
            y = x ^ ((y << np.uint32(rotation)) | (y >> np.uint32(32 - rotation)))
        x, y = x + schedule[(group + 1) % 3], y + schedule[(group + 2) % 3] + np.uint32(group + 1)
    return x, y


def _float32_normals(key: Any, shape: tuple[int, ...]) -> Any:
    import jax
    import jax.numpy as jnp

    size = math.prod(shape)
    first, second = jax.random.key_data(key)
    counts = jnp.arange(size, dtype=jnp.uint32)
    x, y = threefry(first, second, counts[: size // 2], counts[size // 2 :])
    # 23 bits as the fraction of a number in [1, 2), moved to the open interval (-1, 1)
    bits = (jnp.concatenate([x, y]) >> np.uint32(9)) | np.float32(1.0).view(np.uint32)
    least = np.nextafter(np.float32(-1.0), np.float32(0.0))
    uniform = jax.lax.bitcast_convert_type(bits, jnp.float32) - 1.0
    uniform = uniform * (np.float32(1.0) - least) + least
    normals = np.float32(math.sqrt(2.0)) * jax.lax.erf_inv(jnp.maximum(least, uniform))
    return normals.reshape(shape)
