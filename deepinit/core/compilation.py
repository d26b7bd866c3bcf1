"""What XLA is told and shown, for speed."""

import functools
import os
from typing import Any

_WIDE = "xla_cpu_prefer_vector_width"


@functools.cache
def wide_vectors() -> dict[str, Any]:
    """For programs that draw numbers on CPUs: vectors of 512 bits where the processor has them.

    XLA prefers 256; random bits and activations are up to a quarter faster. Empty on other
    platforms, where XLA_FLAGS has the option, and where XLA does not know it.
    """
    import jax

    options: dict[str, Any] = {_WIDE: 512}
    if jax.default_backend() != "cpu" or _WIDE in os.environ.get("XLA_FLAGS", ""):
        return {}
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=options)
    except RuntimeError:
        return {}
    return options


def in_one_loop(x: Any) -> Any:
    """x times a 1 that XLA does not know, for an elementwise function of one product.

    Alone between two products it would be compiled for CPUs in copied tiles of 16 numbers, two to
    three times slower (XLA of jaxlib 0.10); with a scalar in it it is one loop. Bits do not change.
    """
    import jax
    import jax.numpy as jnp

    return x * jax.lax.optimization_barrier(jnp.ones((), x.dtype))
