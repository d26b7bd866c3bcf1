"""Gram-Schmidt on rows, in JAX's own operations.

LAPACK's QR inside a program that runs on several CPU devices at once can wait for ever: its batches ask for threads of the pool
whose threads are all waiting for it (seen with jaxlib 0.10 and two devices on two cores). This one needs no pool.
"""

from typing import Any


def orthonormalize_rows(rows: Any) -> tuple[Any, Any]:
    """H = L Q: orthonormal rows Q [k, n] and L [k, k], lower triangular, of the rows H [k, n]. Every row is projected twice.

    A row that depends on the earlier ones to rounding gets no direction: its row of Q and its diagonal entry of L are 0.
    """
    import jax
    import jax.numpy as jnp

    rows = jnp.asarray(rows)
    tolerance = 4.0 * float(jnp.finfo(rows.dtype).eps)
    num_rows = rows.shape[0]

    def step(index: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        residual = row = rows[index]
        line = jnp.zeros(num_rows, rows.dtype)
        for _ in range(2):
            coefficients = jnp.matmul(directions, residual, precision="highest")
            residual = residual - jnp.matmul(coefficients, directions, precision="highest")
            line = line + coefficients
        norm = jnp.sqrt(jnp.sum(residual * residual))
        norm = jnp.where(norm <= tolerance * jnp.sqrt(jnp.sum(row * row)), 0, norm)
        direction = jnp.where(norm == 0, 0, residual / jnp.where(norm == 0, 1, norm))
        return directions.at[index].set(direction), lower.at[index].set(line.at[index].set(norm))

    start = jnp.zeros_like(rows), jnp.zeros((num_rows, num_rows), rows.dtype)
    return jax.lax.fori_loop(0, num_rows, step, start)
