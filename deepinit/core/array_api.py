"""Array namespaces: one formula for NumPy and JAX.

Python floats and NumPy arrays: NumPy, float64; JAX arrays and tracers: `jax.numpy`, own dtype. JAX
is not imported.
"""

import sys
from types import ModuleType
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked


def array_namespace(*values: Any) -> ModuleType:
    """`jax.numpy` if any value is a JAX array, else `numpy`."""
    jax = sys.modules.get("jax")
    if jax is not None and any(isinstance(value, jax.Array) for value in values):
        require_unforked()
        return jax.numpy
    return np


def special_namespace(xp: ModuleType) -> ModuleType:
    """`scipy.special` or `jax.scipy.special`."""
    if xp is np:
        import scipy.special as special
    else:
        import jax.scipy.special as special
    return special


def without_slopes(*values: Any) -> tuple[Any, ...]:
    """`jax.lax.stop_gradient` of JAX values; others unchanged."""
    if array_namespace(*values) is np:
        return values
    import jax

    return jax.lax.stop_gradient(values)


def is_traced(*values: Any) -> bool:
    """Whether any value is a JAX tracer."""
    jax = sys.modules.get("jax")
    return jax is not None and any(isinstance(value, jax.core.Tracer) for value in values)


def as_floats(xp: ModuleType, *values: Any) -> tuple[Any, ...]:
    """float64 in NumPy, the common dtype in JAX (default float for integers and weak types)."""
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
            raise TypeError  # NumPy would convert them
        return xp.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        allowed = "real numbers and arrays of them"
        raise SpecError(repr(value), allowed, "Convert it to floats.") from error


def with_derivative_of(variable: Any, value: Any) -> Any:
    """`value` with the derivative of `variable`: a clip that passes gradients."""
    if array_namespace(variable, value) is np:
        return value
    import jax

    return variable + jax.lax.stop_gradient(value - variable)
