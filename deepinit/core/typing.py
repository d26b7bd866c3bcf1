"""Types of public arguments: array shapes by jaxtyping, activations, parameters, keys.

`Float[Array, "inputs dimension"]` is a NumPy or JAX array, or a tracer, of that shape; equal names
in one signature are equal sizes. Tests check them by jaxtyping's import hook. jaxtyping (0.1 s) is
imported only where it already is, JAX never.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from deepinit.core.activation import Activation

if TYPE_CHECKING:
    import jax
    import numpy as np
    from jax.typing import DTypeLike
    from jaxtyping import Bool, Float, Int, Key, PyTree, Real, Shaped, UInt32

    Array = np.ndarray | jax.Array
    JaxArray = jax.Array
    Like = Any
elif "jaxtyping" in sys.modules:
    from jaxtyping import Bool, Float, Int, Key, PyTree, Real, Shaped, UInt32

    Array = JaxArray = DTypeLike = Any
    Like = Any | float
else:
    Array = DTypeLike = JaxArray = Like = PyTree = Any

    class Shaped:
        """An annotation that nothing checks: `Shaped[kind, shape]` is `kind`."""

        def __class_getitem__(cls, item: tuple[Any, str]) -> Any:
            return item[0]

    Bool = Float = Int = Key = Real = UInt32 = Shaped

Plain = float | Sequence[Any]
"""A number of Python, or lists and tuples of them, as `numpy.asarray` takes them."""

Numbers = Real[Array, "..."] | Plain
"""A number, or numbers of any shape."""

ActivationLike = Activation | str | Callable[..., Any]
"""`Activation`, name of a built-in one, or elementwise JAX function."""

KeyLike = Key[JaxArray, ""] | UInt32[JaxArray, "2"]
"""`jax.random.key`, or a raw `jax.random.PRNGKey`."""

# Array: NumPy, JAX or tracer. Like: a result, of the kind of the arguments. PyTree: parameters.
__all__ = [
    "ActivationLike",
    "Array",
    "Bool",
    "DTypeLike",
    "Float",
    "Int",
    "KeyLike",
    "Like",
    "Numbers",
    "Plain",
    "PyTree",
    "Real",
    "Shaped",
]
