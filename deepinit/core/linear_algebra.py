"""Norms without underflow, and Gram-Schmidt, in JAX."""

from typing import Any


def norm(leaves: list[Any]) -> Any:
    """Euclidean norm of several JAX arrays together.

    Scaled by the largest entry: squares of small gradients (1e-24) underflow in float32.
    """
    import jax.numpy as jnp

    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in leaves]))
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(sum(jnp.sum((leaf / unit) ** 2) for leaf in leaves))


def row_norms(rows: Any) -> Any:
    """Euclidean norms [m] of the rows."""
    import jax.numpy as jnp

    largest = jnp.max(jnp.abs(rows), axis=1)
    unit = jnp.where(largest == 0, 1, largest)
    return largest * jnp.sqrt(jnp.sum((rows / unit[:, None]) ** 2, axis=1))


def layer_norms(tree: Any) -> Any:
    """Parameter norms [layers], grouped by all but the last key."""
    import jax
    import jax.numpy as jnp

    groups: dict[Any, list[Any]] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        groups.setdefault(path[:-1], []).append(leaf)
    return jnp.stack([norm(leaves) for leaves in groups.values()])


def orthonormalize_rows(rows: Any, known: Any = None) -> tuple[Any, Any]:
    """H = L [K; Q]: orthonormal rows Q [k, n], lower triangular L [k, k] (K absent).

    Gram-Schmidt, two projections per row. Dependent rows (to rounding) have zero rows of Q and zero
    diagonal entries of L. LAPACK's QR can deadlock on several CPU devices: its batches wait for
    pool threads that wait for it (jaxlib 0.10).

    Args:
        known: K [r, n], orthonormal or zero rows, which Q is orthogonal to; L is [k, r + k].
    """
    import jax
    import jax.numpy as jnp

    rows = jnp.asarray(rows)
    tolerance = 4.0 * float(jnp.finfo(rows.dtype).eps)
    num_rows, num_known = rows.shape[0], 0 if known is None else len(known)
    size = num_known + num_rows

    def step(index: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        residual = row = rows[index]
        line = jnp.zeros(size, rows.dtype)
        for _ in range(2):
            coefficients = jnp.matmul(directions, residual, precision="highest")
            residual = residual - jnp.matmul(coefficients, directions, precision="highest")
            line = line + coefficients
        norm = jnp.sqrt(jnp.sum(residual * residual))
        norm = jnp.where(norm <= tolerance * jnp.sqrt(jnp.sum(row * row)), 0, norm)
        direction = jnp.where(norm == 0, 0, residual / jnp.where(norm == 0, 1, norm))
        own = index + num_known
        return directions.at[own].set(direction), lower.at[index].set(line.at[own].set(norm))

    directions = jnp.zeros_like(rows)
    if known is not None:
        directions = jnp.concatenate([known, directions])
    start = directions, jnp.zeros((num_rows, size), rows.dtype)
    directions, lower = jax.lax.fori_loop(0, num_rows, step, start)
    return directions[num_known:], lower
