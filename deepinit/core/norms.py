"""Euclidean norms of numbers whose squares underflow: everything is divided by its largest entry before it is squared.

Near initialization with standard deviation s the gradient is of order s^p for an activation phi(x) ~ c x^p: its square is 0 in float32
already for s = 1e-8 and p = 3.
"""

from typing import Any


def norm(leaves: list[Any]) -> Any:
    """The norm of several JAX arrays together: a scalar."""
    import jax.numpy as jnp

    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(sum(jnp.sum((leaf / unit) ** 2) for leaf in leaves))


def row_norms(rows: Any) -> Any:
    """The norm of every row of a JAX array: [m]."""
    import jax.numpy as jnp

    largest = jnp.max(jnp.abs(rows), axis=1)
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(jnp.sum((rows / unit[:, None]) ** 2, axis=1))


def layer_norms(tree: Any) -> Any:
    """The norm of every layer's parameters together (arrays that share all of their path but the last name): [layers]."""
    import jax
    import jax.numpy as jnp

    groups: dict[Any, list[Any]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        groups.setdefault(path[:-1], []).append(leaf)
    return jnp.stack([norm(leaves) for leaves in groups.values()])
