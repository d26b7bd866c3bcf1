"""Keys: seed i's network is `fold_in(root, i)`, whatever the ensemble's size, block, device count or process count."""

from typing import Any

import jax
import numpy as np

from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked


def root_key(key: Any) -> jax.Array:
    """The root key of an ensemble, from an integer or a typed threefry key.

    Raises:
        SpecError: an integer outside [0, 2^32), an array of keys, a traced key, or another generator (its draws depend on the batch).
    """
    require_unforked()
    if isinstance(key, int | np.integer):
        if not 0 <= key < 2**32:  # beyond, JAX takes other integers for the same
            raise SpecError(f"key={key}", "integers from 0 to 2^32 - 1", "Write key=0.")
        return jax.random.key(int(key), impl="threefry2x32")
    if not jax.dtypes.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise SpecError(f"key={key!r}", "an integer or jax.random.key(...)", "Write key=0.")
    if isinstance(key, jax.core.Tracer):
        raise SpecError("a traced key", "concrete keys", "Call it outside jax.jit, vmap and grad.")
    if key.shape != ():
        raise SpecError(
            f"keys of shape {key.shape}", "one key, shape ()", "Pass one of them, key=keys[0]."
        )
    if str(jax.random.key_impl(key)) != "threefry2x32":
        raise SpecError(
            f"a key of the generator {jax.random.key_impl(key)}",
            "threefry2x32, whose draws do not depend on how many networks are drawn together",
            "Write key=0, or jax.random.key(0, impl='threefry2x32').",
        )
    return key
