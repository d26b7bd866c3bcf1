"""Keys: seed i draws from `fold_in(root, i)`, in any block and on any device."""

import jax
import numpy as np

from deepinit.core import validate
from deepinit.core.errors import SpecError
from deepinit.core.host import require_unforked

_GENERATOR = "threefry2x32"


def root_key(key: int | np.integer | jax.Array) -> jax.Array:
    """Root key of an ensemble, from an integer or typed threefry key.

    Raises SpecError: an integer outside [0, 2^32), several keys, a traced key, another generator
        (its draws depend on the batch).
    """
    require_unforked()
    if isinstance(key, int | np.integer):  # JAX reduces larger integers modulo 2^32
        return jax.random.key(validate.integer("key", int(key), most=2**32 - 1), impl=_GENERATOR)
    if not jax.dtypes.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
        raise SpecError(f"key={key!r}", "an integer or jax.random.key(...)", "Write key=0.")
    if isinstance(key, jax.core.Tracer):
        raise SpecError("a traced key", "concrete keys", "Call it outside jax.jit, vmap and grad.")
    validate.require(key.shape == (), f"keys of shape {key.shape}", "one key, shape ()", "keys[0].")
    generator = str(jax.random.key_impl(key))
    allowed = f"{_GENERATOR}, whose draws do not depend on the batch size"
    validate.require(
        generator == _GENERATOR, f"a key of the generator {generator}", allowed, "Write key=0."
    )
    return key
