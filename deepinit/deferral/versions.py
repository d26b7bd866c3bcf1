"""Whether programs of the installed JAX are understood."""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from deepinit.deferral.plan import planned
from deepinit.deferral.program import flatten
from deepinit.deferral.simplify import simplified
from deepinit.deferral.warn import warn_user


@functools.cache
def misread() -> str:
    """What is not understood in a scan over a stack, a draw and an initializer; "" if all is.

    Warns at the first use if something is not.
    """
    found = misread_in(_model)
    if found:
        warn_user(
            f"deferred does not understand programs of JAX {jax.__version__} ({found}): every"
            " array is drawn by its own equation"
        )
    return found


def misread_in(f: Any) -> str:
    """What is explicit in a function (key, rows [2, 16]) of matrices that can be deferred."""
    key = jax.eval_shape(lambda: jax.random.key(0))
    inputs = key, jax.ShapeDtypeStruct((2, 16), jnp.float32)
    try:
        decisions = planned(simplified(flatten(jax.make_jaxpr(f)(*inputs))), inputs, False)
    except Exception as error:  # noqa: BLE001 - what changes in JAX is not known
        return f"{type(error).__name__}: {error}"
    if not decisions.drawn:
        return "jax.random.normal is not recognized"
    return "; ".join(sorted(set(decisions.explicit.values())))


def _model(key: Any, rows: Any) -> Any:
    first, second = jax.random.split(key)
    stack = jax.random.normal(first, (2, 16, 16))
    matrix = jax.nn.initializers.normal(0.1)(second, (16, 16))
    return jax.lax.scan(lambda c, w: (jnp.tanh(c @ w), None), rows, stack)[0] @ matrix
