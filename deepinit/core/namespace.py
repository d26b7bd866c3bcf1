"""One formula for NumPy and JAX: which array namespace do these values live in?

Python floats and NumPy arrays are computed by NumPy in float64; JAX arrays (tracers too) by `jax.numpy` in their own
dtype. JAX is looked up, never imported: without JAX arrays in the process there is none to dispatch on.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np


def array_namespace(*values: Any) -> ModuleType:
    """`jax.numpy` if any of the values is a JAX array, else `numpy`."""
    jax = sys.modules.get("jax")
    if jax is not None and any(isinstance(value, jax.Array) for value in values):
        return jax.numpy
    return np


def special_namespace(xp: ModuleType) -> ModuleType:
    """The special functions that go with an array namespace: `scipy.special` or `jax.scipy.special`."""
    if xp is np:
        import scipy.special as special
    else:
        import jax.scipy.special as special
    return special


def as_floats(xp: ModuleType, *values: Any) -> tuple[Any, ...]:
    """The values as floating arrays: float64 in NumPy; in JAX the common dtype of the JAX arrays among them."""
    if xp is np:
        return tuple(np.asarray(value, dtype=np.float64) for value in values)
    import jax

    arrays = [value for value in values if isinstance(value, jax.Array)]
    dtype = xp.result_type(*arrays, xp.float16) if arrays else xp.float32
    return tuple(xp.asarray(value, dtype=dtype) for value in values)
