"""Norms without underflow, and Gram-Schmidt, in JAX."""

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


_SEVERAL, _MANY, _LOOPED = 4, 16, 128  # rows: by a Gram matrix, by blocks, by a loop over blocks
_MANY_FACTORS = 32  # rows: a factor alone by a Gram matrix
_BLOCK, _LONG_BLOCK = 8, 32  # rows orthonormalized one by one
_TOLERANCE = 4.0  # roundings: rows below it are dependent


def orthonormalize_rows(rows: Any, known: Any = None) -> tuple[Any, Any]:
    """H = L [K; Q]: orthonormal rows Q [k, n], lower triangular L [k, r + k].

    K = `known` [r, n], orthonormal or zero rows orthogonal to Q, or absent. Gram-Schmidt, two
    projections per row; 4 to 15 float32 rows by their Gram matrix in float64
    (`core.gram_factors`); by blocks from 16 rows. Dependent rows (to rounding) have zero rows of Q
    and zero diagonal entries of L. LAPACK's QR can deadlock on several CPU devices: its batches
    wait for pool threads that wait for it (jaxlib 0.10).
    """
    import jax.numpy as jnp

    rows = jnp.asarray(rows)
    if known is not None or len(rows) >= _MANY:
        return _by_blocks(rows, rows[:0] if known is None else known)
    if len(rows) >= _SEVERAL and rows.dtype == jnp.float32:
        return _by_gram(rows, with_directions=True)
    return _twice(rows)


def lower_factor_of(rows: Any) -> Any:
    """L [k, k] of `orthonormalize_rows` alone, faster up to 32 rows."""
    import jax.numpy as jnp

    if _SEVERAL <= len(rows) <= _MANY_FACTORS and rows.dtype == jnp.float32:
        return _by_gram(rows, with_directions=False)[1]
    return orthonormalize_rows(rows)[1]


def _by_gram(rows: Any, *, with_directions: bool) -> tuple[Any, Any]:
    import numpy as np

    from deepinit.core.gram_factors import gram_factors

    tolerance = _TOLERANCE * float(np.finfo(np.float32).eps)
    return gram_factors(_twice, tolerance, with_directions=with_directions)(rows)


def _twice(rows: Any) -> tuple[Any, Any]:
    import jax.numpy as jnp

    return _row_by_row(rows, jnp.sqrt(jnp.sum(rows * rows, axis=1)), passes=2)


def _row_by_row(rows: Any, sizes: Any, *, passes: int) -> tuple[Any, Any]:
    """Gram-Schmidt; rows below rounding of `sizes` [k] are dependent."""
    import jax
    import jax.numpy as jnp

    tolerance = _TOLERANCE * float(jnp.finfo(rows.dtype).eps)
    num_rows = rows.shape[0]

    def step(index: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        residual = rows[index]
        line = jnp.zeros(num_rows, rows.dtype)
        for _ in range(passes):
            coefficients = jnp.matmul(directions, residual, precision="highest")
            residual = residual - jnp.matmul(coefficients, directions, precision="highest")
            line = line + coefficients
        norm = jnp.sqrt(jnp.sum(residual * residual))
        norm = jnp.where(norm <= tolerance * sizes[index], 0, norm)
        direction = jnp.where(norm == 0, 0, residual / jnp.where(norm == 0, 1, norm))
        return directions.at[index].set(direction), lower.at[index].set(line.at[index].set(norm))

    start = jnp.zeros_like(rows), jnp.zeros((num_rows, num_rows), rows.dtype)
    return jax.lax.fori_loop(0, num_rows, step, start)


def _by_blocks(rows: Any, known: Any) -> tuple[Any, Any]:
    """Gram-Schmidt by blocks, with the directions of earlier ones."""
    import jax.numpy as jnp

    sizes = jnp.sqrt(jnp.sum(rows * rows, axis=1))
    if len(rows) > _LOOPED:
        return _in_a_loop(rows, sizes, known)
    directions, lines, width = known, [], len(known) + len(rows)
    for start in range(0, len(rows), _BLOCK):
        stop = start + _BLOCK
        block, along, triangle = _block(rows[start:stop], sizes[start:stop], directions)
        line = jnp.concatenate([along, triangle], axis=1)
        lines.append(jnp.pad(line, ((0, 0), (0, width - line.shape[1]))))
        directions = jnp.concatenate([directions, block])
    return directions[len(known) :], jnp.concatenate(lines)


def _in_a_loop(rows: Any, sizes: Any, known: Any) -> tuple[Any, Any]:
    """The same by equal blocks of one compiled step; later directions are rows of zeros."""
    import jax
    import jax.numpy as jnp

    (num_rows, size), before = rows.shape, len(known)
    padding = -num_rows % _LONG_BLOCK
    rows, sizes = jnp.pad(rows, ((0, padding), (0, 0))), jnp.pad(sizes, (0, padding))
    take = lambda array, start: jax.lax.dynamic_slice_in_dim(array, start, _LONG_BLOCK)

    def step(number: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        start = number * _LONG_BLOCK
        block, line, triangle = _block(take(rows, start), take(sizes, start), directions)
        line = jax.lax.dynamic_update_slice(line, triangle, (0, before + start))
        put = lambda array, block, start: jax.lax.dynamic_update_slice(array, block, (start, 0))
        return put(directions, block, before + start), put(lower, line, start)

    directions = jnp.concatenate([known, jnp.zeros((len(rows), size), rows.dtype)])
    lower = jnp.zeros((len(rows), before + len(rows)), rows.dtype)
    found = jax.lax.fori_loop(0, len(rows) // _LONG_BLOCK, step, (directions, lower))
    return found[0][before : before + num_rows], found[1][:num_rows, : before + num_rows]


def _block(block: Any, sizes: Any, directions: Any) -> tuple[Any, Any, Any]:
    """P, C + S C' and S S' of a block B, projected twice from directions Q:

    B = C Q + S P,   P = C' Q + S' P',   so B = (C + S C') Q + S S' P'.

    P is orthonormal but for rounding, so that S' is a Cholesky factor.
    """
    import jax.numpy as jnp

    product = lambda first, second: jnp.matmul(first, second, precision="highest")
    along = product(block, directions.T)
    block, triangle = _row_by_row(block - product(along, directions), sizes, passes=1)
    again = product(block, directions.T)
    rest = block - product(again, directions)
    factor, inverse = _cholesky(product(rest, rest.T))
    return product(inverse, rest), along + product(triangle, again), product(triangle, factor)


_LEAST_PIVOT = 0.01  # of a direction; the rest is rounding of rows that depend on earlier ones


def _cholesky(gram: Any) -> tuple[Any, Any]:
    """L and its inverse [k, k], L L^T = G of rows of norm 1 or 0; zero columns without pivots."""
    import jax
    import jax.numpy as jnp

    numbers, unit = jnp.arange(len(gram)), jnp.eye(len(gram), dtype=gram.dtype)
    product = lambda first, second: jnp.matmul(first, second, precision="highest")

    def step(index: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        lower, inverse = state
        line = lower[index]
        column = jnp.where(numbers < index, 0, gram[index] - product(lower, line))
        pivot = jnp.maximum(column[index], _LEAST_PIVOT)
        size = jnp.where(pivot > _LEAST_PIVOT, 1 / jnp.sqrt(pivot), 0)
        inverse = inverse.at[index].set(size * (unit[index] - product(line, inverse)))
        return lower.at[:, index].set(size * column), inverse

    zeros = jnp.zeros_like(gram)
    return jax.lax.fori_loop(0, len(gram), step, (zeros, zeros))
