"""Norms of parameters and gradients whose squares underflow.

Near initialization with standard deviation s the gradient is of order s^p for an activation phi(x) ~ c x^p: its square is 0 in float32
already for s = 1e-8 and p = 3. Everything is divided by its largest entry before it is squared.
"""

from typing import Any

import jax
import jax.numpy as jnp


def norm(leaves: list[jax.Array]) -> jax.Array:
    """The Euclidean norm of several arrays together: a scalar."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(sum(jnp.sum((leaf / unit) ** 2) for leaf in leaves))


def row_norms(rows: jax.Array) -> jax.Array:
    """The Euclidean norm of every row: [m, 1]."""
    largest = jnp.max(jnp.abs(rows), axis=1, keepdims=True)
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(jnp.sum((rows / unit) ** 2, axis=1, keepdims=True))


def layer_norms(tree: Any) -> jax.Array:
    """The norm of every layer's parameters together (arrays that share all of their path but the last name): [layers]."""
    groups: dict[Any, list[jax.Array]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        groups.setdefault(path[:-1], []).append(leaf)
    return jnp.stack([norm(leaves) for leaves in groups.values()])
