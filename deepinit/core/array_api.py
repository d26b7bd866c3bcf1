"""One formula for NumPy and JAX: which array namespace do these values live in?

Python floats and NumPy arrays are computed by NumPy in float64; JAX arrays (tracers too) by `jax.numpy` in their own
dtype. JAX is looked up, never imported: without JAX arrays in the process there is none to dispatch on.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked


def array_namespace(*values: Any) -> ModuleType:
    """`jax.numpy` if any of the values is a JAX array, else `numpy`."""
    jax = sys.modules.get("jax")
    if jax is not None and any(isinstance(value, jax.Array) for value in values):
        require_unforked()
        return jax.numpy
    return np


def special_namespace(xp: ModuleType) -> ModuleType:
    """The special functions that go with an array namespace: `scipy.special` or `jax.scipy.special`."""
    if xp is np:
        import scipy.special as special
    else:
        import jax.scipy.special as special
    return special


def without_slopes(*values: Any) -> tuple[Any, ...]:
    """The values as constants: JAX takes no derivative through them."""
    if array_namespace(*values) is np:
        return values
    import jax

    return jax.lax.stop_gradient(values)


def is_traced(*values: Any) -> bool:
    """Is one of the values a JAX tracer, whose numbers the host cannot see?"""
    jax = sys.modules.get("jax")
    return jax is not None and any(isinstance(value, jax.core.Tracer) for value in values)


def as_floats(xp: ModuleType, *values: Any) -> tuple[Any, ...]:
    """The values as floating arrays: float64 in NumPy; in JAX the common dtype of the JAX arrays among them.

    JAX integers and Python floats under jit, grad or vmap (weakly typed) become JAX's default float.
    """
    dtype: Any = np.float64
    if xp is not np:
        import jax

        arrays = [value for value in values if isinstance(value, jax.Array)]
        dtype = xp.result_type(*arrays) if arrays else xp.result_type(float)
        if not xp.issubdtype(dtype, xp.floating):
            dtype = xp.result_type(float)
    return tuple(_as_float(xp, value, dtype) for value in values)


def _as_float(xp: ModuleType, value: Any, dtype: Any) -> Any:
    try:
        if value is None or isinstance(value, str):
            raise TypeError(
                "no number"
            )  # NumPy would make them nan, and the number that the text spells
        return xp.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise SpecError(
            repr(value), "real numbers and arrays of them", "Convert it to floats."
        ) from error


def with_derivative_of(variable: Any, value: Any) -> Any:
    """`value`, in JAX with the derivative of `variable`: a clip that does not end a gradient at the bound."""
    if array_namespace(variable, value) is np:
        return value
    import jax

    return variable + jax.lax.stop_gradient(value - variable)
