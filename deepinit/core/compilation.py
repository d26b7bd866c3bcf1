"""Options of the compiler, beside JAX's own."""

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
