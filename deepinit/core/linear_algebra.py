"""Norms without underflow, in JAX."""

from typing import Any

from deepinit.core.typing import Float, Like, PyTree


def norm(leaves: list[Float[Like, "..."]]) -> Float[Like, ""]:
    """Euclidean norm of several JAX arrays together.

    Scaled by the largest entry: squares of small gradients (1e-24) underflow in float32.
    """
    import jax.numpy as jnp

    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(sum(jnp.sum((leaf / unit) ** 2) for leaf in leaves))


def row_norms(rows: Float[Like, "m n"]) -> Float[Like, "m"]:
    """Euclidean norms [m] of the rows."""
    import jax.numpy as jnp

    largest = jnp.max(jnp.abs(rows), axis=1)
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(jnp.sum((rows / unit[:, None]) ** 2, axis=1))


def layer_norms(tree: PyTree) -> Float[Like, "layers"]:
    """Parameter norms [layers], grouped by all but the last key."""
    import jax
    import jax.numpy as jnp

    groups: dict[Any, list[Any]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        groups.setdefault(path[:-1], []).append(leaf)
    return jnp.stack([norm(leaves) for leaves in groups.values()])
