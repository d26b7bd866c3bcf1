"""Checkpoints: networks whose parameters do not depend on the key, not at initialization."""

import functools
from typing import Any

import numpy as np

from deepinit.core.errors import SpecError


def depends_on_key(network: Any, array: Any) -> bool:
    """Whether two keys give different parameters; SpecError for none, or code that fails."""
    import jax

    batch = array[:2]
    try:
        first, second = (network.batch.init(jax.random.key(at), batch)[0] for at in (0, 1))
        jax.eval_shape(functools.partial(_outputs, network), jax.random.key(0), batch)
    except SpecError:
        raise
    except Exception as error:  # of the user's own code
        lines = str(error).splitlines() or [type(error).__name__]
        shape = " x ".join(map(str, array.shape))
        given = f"a network that inputs {shape} do not fit, or that cannot be traced"
        cause = f"{given} ({type(error).__name__}: {lines[0][:200]})"
        raise SpecError(cause, "code that jax.jit takes", "Try jax.jit of it.") from error
    pairs = [
        (np.asarray(a), np.asarray(b))
        for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
        if np.issubdtype(np.asarray(a).dtype, np.floating)
    ]
    if not sum(a.size for a, _ in pairs):
        given = "a network without parameters"
        raise SpecError(given, "one or more random layers", "Give a network with weights.")
    return any(not np.array_equal(a, b) for a, b in pairs)


def with_keyed_parameters(network: Any) -> Any:
    """The network with 0 times a normal added to its parameters: measurements trace draws."""
    import jax

    own = network.batch

    def init(key: Any, *arrays: Any) -> Any:
        parameters, others = own.init(key, *arrays)
        leaves, tree = jax.tree.flatten(parameters)

        def shown(leaf: Any, key: Any) -> Any:
            leaf = jax.numpy.asarray(leaf)
            if not jax.numpy.issubdtype(leaf.dtype, jax.numpy.floating):
                return leaf
            return leaf + 0 * jax.random.normal(key, leaf.shape, leaf.dtype)

        keys = jax.random.split(key, len(leaves))
        changed = [shown(leaf, each) for leaf, each in zip(leaves, keys, strict=True)]
        return jax.tree.unflatten(tree, changed), others

    return network._replace(own_batch=own._replace(init=init))


def _outputs(network: Any, key: Any, batch: Any) -> Any:
    parameters, others = network.batch.init(key, batch)
    return network.batch.apply(parameters, others, key, batch)
