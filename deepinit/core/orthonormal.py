"""Orthonormal rows, in JAX: LAPACK's QR can deadlock on several CPU devices, where its batches
wait for pool threads that wait for it (jaxlib 0.10).
"""

from typing import Any, NamedTuple

_FEW = 4  # rows: one by one below
_BLOCK = 64  # rows that one Gram matrix holds
_TOLERANCE = 4.0  # rounding units of a row: what is left of a dependent one
_MOST_GROWTH = 64.0  # of squared rounding in a direction; other rows wait for the next pass
_SETTLED = 4.0  # growth from which no pass follows


def orthonormalize_rows(rows: Any, known: Any = None) -> tuple[Any, Any]:
    """H = L [K; Q]: orthonormal rows Q [k, n], lower triangular L [k, r + k].

    K = `known` [r, n], orthonormal or zero rows orthogonal to Q, or absent. Dependent rows (to
    rounding) have zero rows of Q and zero columns of L.

    Passes of Cholesky factorization of Gram matrices. A row close to the span of earlier ones is
    projected in one pass and normalized in a later one, so that residuals of 1e-6 keep their
    digits. Where only L is used, Q costs nothing unless there is a second pass.
    """
    import jax.numpy as jnp

    rows = jnp.asarray(rows)
    if known is None and len(rows) < _FEW:
        return _row_by_row(rows)
    known = rows[:0] if known is None else known
    return _by_gram(rows, known) if len(rows) <= _BLOCK else _by_blocks(rows, known, _by_gram)


def orthonormalize_any_rows(rows: Any, known: Any = None) -> tuple[Any, Any]:
    """`orthonormalize_rows` for rows of any norm, whose squares may underflow or overflow.

    Rows that are not finite: zero rows of Q, NaN rows of L.
    """
    import jax.numpy as jnp

    rows = jnp.asarray(rows)
    if known is None and len(rows) < _FEW:
        rows, scales = _scaled(rows)
        directions, lower = _row_by_row(rows)
        return directions, lower * scales[:, None]
    known = rows[:0] if known is None else known
    if len(rows) <= _BLOCK:
        return _by_gram_of_any_norm(rows, known)
    return _by_blocks(rows, known, _by_gram_of_any_norm)


def _scaled(rows: Any) -> tuple[Any, Any]:
    """Rows over their largest entries, and these; 0 and NaN for rows that are not finite."""
    import jax.numpy as jnp

    largest = jnp.max(jnp.abs(rows), axis=1)
    is_finite = jnp.all(jnp.isfinite(rows), axis=1)  # XLA for CPUs may drop NaN from a maximum
    scales = jnp.where(is_finite & (largest > 0), largest, 1)
    rows = jnp.where(is_finite[:, None], rows / scales[:, None], 0)
    return rows, jnp.where(is_finite, scales, jnp.nan)


def _row_by_row(rows: Any) -> tuple[Any, Any]:
    """Gram-Schmidt with two projections."""
    import jax
    import jax.numpy as jnp

    tolerance = _TOLERANCE * float(jnp.finfo(rows.dtype).eps)
    sizes, num_rows = jnp.sqrt(jnp.sum(rows * rows, axis=1)), len(rows)

    def step(index: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        residual = rows[index]
        line = jnp.zeros(num_rows, rows.dtype)
        for _ in range(2):
            coefficients = _product(directions, residual)
            residual = residual - _product(coefficients, directions)
            line = line + coefficients
        norm = jnp.sqrt(jnp.sum(residual * residual))
        norm = jnp.where(norm <= tolerance * sizes[index], 0, norm)
        direction = jnp.where(norm == 0, 0, residual / jnp.where(norm == 0, 1, norm))
        return directions.at[index].set(direction), lower.at[index].set(line.at[index].set(norm))

    start = jnp.zeros_like(rows), jnp.zeros((num_rows, num_rows), rows.dtype)
    return jax.lax.fori_loop(0, num_rows, step, start)


def _by_blocks(rows: Any, known: Any, by_gram: Any) -> tuple[Any, Any]:
    """By equal blocks of one compiled step; directions of later ones are rows of zeros."""
    import jax
    import jax.numpy as jnp

    (num_rows, size), before = rows.shape, len(known)
    rows = jnp.pad(rows, ((0, -num_rows % _BLOCK), (0, 0)))
    put = lambda array, block, start: jax.lax.dynamic_update_slice(array, block, (start, 0))

    def step(number: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        directions, lower = state
        start = number * _BLOCK
        block = jax.lax.dynamic_slice_in_dim(rows, start, _BLOCK)
        block, line = by_gram(block, directions)
        line, triangle = jnp.split(line, [len(directions)], axis=1)
        line = jax.lax.dynamic_update_slice(line, triangle, (0, before + start))
        return put(directions, block, before + start), put(lower, line, start)

    directions = jnp.concatenate([known, jnp.zeros((len(rows), size), rows.dtype)])
    lower = jnp.zeros((len(rows), before + len(rows)), rows.dtype)
    found = jax.lax.fori_loop(0, len(rows) // _BLOCK, step, (directions, lower))
    return found[0][before : before + num_rows], found[1][:num_rows, : before + num_rows]


class _Pass(NamedTuple):
    """R = D (C K + L R') with R' = T (D^-1 R - C K), closer to orthonormal rows.

    Attributes:
        norms: D [k]; 0 for dependent rows.
        along: C [k, r].
        lower, inverse: L and T = L^-1 [k, k].
        is_normal: whether a row of R' has norm 1, up to rounding.
        is_settled: whether all rows of R' are orthonormal or 0, up to rounding.
    """

    norms: Any
    along: Any
    lower: Any
    inverse: Any
    is_normal: Any
    is_settled: Any


def _by_gram(rows: Any, known: Any) -> tuple[Any, Any]:
    """At most 64 rows. H = A K + B R holds between passes, [A, B] the coordinates."""
    import jax
    import jax.numpy as jnp

    num_rows, before = len(rows), len(known)
    first = _examined(rows, known, jnp.zeros(num_rows, rows.dtype))
    tolerance = _TOLERANCE * float(jnp.finfo(rows.dtype).eps)
    units = _inverse(first.norms)[:, None]

    def is_open(state: Any) -> Any:
        number, *_, found = state
        return ~found.is_settled & (number < 2 * num_rows + 8)

    def again(state: Any) -> Any:
        number, rows, coordinates, found = state
        coordinates = _coordinates(coordinates, found)
        share = jnp.max(jnp.abs(coordinates[:, before:]) * units, axis=0)
        rows = _applied(rows, known, found)
        return number + 1, rows, coordinates, _examined(rows, known, tolerance * _inverse(share))

    unit = jnp.eye(num_rows, before + num_rows, before, dtype=rows.dtype)
    _, rows, coordinates, found = jax.lax.while_loop(is_open, again, (0, rows, unit, first))
    lower = jnp.where(found.is_normal, found.lower, 0)
    inverse = jnp.where(found.is_normal[:, None], found.inverse, 0)
    coordinates = _coordinates(coordinates, found._replace(lower=lower))
    return _applied(rows, known, found._replace(inverse=inverse)), coordinates


def _by_gram_of_any_norm(rows: Any, known: Any) -> tuple[Any, Any]:
    """`_by_gram` with one copy of a pass in the program, and a pass that scales rows.

    Rows are scaled only if the square of a norm is out of range: it takes as long as another pass.
    The last Q is formed, used or not; `_by_gram` leaves it out for engines that read L alone.
    """
    import jax
    import jax.numpy as jnp

    num_rows, before = len(rows), len(known)
    limits, zeros = jnp.finfo(rows.dtype), jnp.zeros(num_rows, rows.dtype)
    tolerance, largest = _TOLERANCE * float(limits.eps), float(limits.max) ** 0.5 / 2
    least_norm = (rows.shape[1] * float(limits.tiny) / float(limits.eps)) ** 0.5

    def again(state: Any) -> Any:
        number, rows, scales, coordinates, units, least, _ = state
        found = _examined(rows, known, least)
        is_inside = jnp.all((found.norms >= least_norm) & (found.norms <= largest))
        is_out = (number == 0) & ~is_inside
        is_last = ~is_out & (found.is_settled | (number > 2 * num_rows + 8))
        is_kept = found.is_normal | ~is_last
        found = found._replace(
            lower=jnp.where(is_kept, found.lower, 0),
            inverse=jnp.where(is_kept[:, None], found.inverse, 0),
        )
        units = jnp.where(jnp.any(units > 0), units, jnp.where(is_out, 0, _inverse(found.norms)))
        rows, scales, coordinates = jax.lax.cond(
            is_out,
            lambda: (*_scaled(rows), coordinates),
            lambda: (_applied(rows, known, found), scales, _coordinates(coordinates, found)),
        )
        share = jnp.max(jnp.abs(coordinates[:, before:]) * units[:, None], axis=0)
        least = jnp.where(is_out, zeros, tolerance * _inverse(share))
        return number + 1, rows, scales, coordinates, units, least, is_last

    unit = jnp.eye(num_rows, before + num_rows, before, dtype=rows.dtype)
    start = 0, rows, zeros + 1, unit, zeros, zeros, False
    found = jax.lax.while_loop(lambda state: ~state[-1], again, start)
    return found[1], found[3] * found[2][:, None]


def _examined(rows: Any, known: Any, least: Any) -> _Pass:
    """Args: least: norms [k] up to which a row is rounding."""
    import jax.numpy as jnp

    gram = _product(rows, rows.T)
    norms = jnp.sqrt(jnp.diagonal(gram))
    norms = jnp.where(norms <= least, 0, norms)
    inverse = _inverse(norms)
    along = _product(rows, known.T) * inverse[:, None]
    gram = gram * inverse[:, None] * inverse - _product(along, along.T)
    lower, triangle, is_normal = _eliminated(gram, (least * inverse) ** 2)
    growth = jnp.sum(triangle**2, axis=1)
    is_settled = jnp.all((is_normal & (growth <= _SETTLED)) | (norms == 0))
    return _Pass(norms, along, lower, triangle, is_normal, is_settled)


def _eliminated(gram: Any, least: Any) -> tuple[Any, Any, Any]:
    """L, T = L^-1 and whether a row of T R is normalized, R with a Gram matrix [k, k].

    A row whose pivot is at most `least`, or lets rounding grow, is projected and not normalized; no
    later row is projected from it.
    """
    import jax
    import jax.numpy as jnp

    size = len(gram)
    places, columns = jnp.arange(size)[:, None], jnp.arange(2 * size)

    def step(index: Any, state: Any) -> Any:
        own = state[index]
        pivot = own[index]
        is_normal = (pivot > least[index]) & (_MOST_GROWTH * pivot >= jnp.sum(own[size:] ** 2))
        scale = jnp.where(is_normal, 1 / jnp.sqrt(jnp.where(is_normal, pivot, 1)), 0)
        line, column = own * scale, state[:, index][:, None] * scale
        below = jnp.where(columns > index, state - column * line, state)
        below = jnp.where(columns == index, column, below)
        here = jnp.where(is_normal & (columns >= index), line, own)
        here = jnp.where((columns == index) & ~is_normal, 0, here)
        return jnp.where(places > index, below, jnp.where(places == index, here, state))

    unit = jnp.eye(size, dtype=gram.dtype)
    lower, inverse = jnp.split(
        jax.lax.fori_loop(0, size, step, jnp.concatenate([gram, unit], axis=1)), 2, axis=1
    )
    is_normal = jnp.diagonal(lower) > 0
    return jnp.tril(lower) + jnp.diag(1 - is_normal.astype(gram.dtype)), inverse, is_normal


def _applied(rows: Any, known: Any, found: _Pass) -> Any:
    new = _product(found.inverse * _inverse(found.norms), rows)
    if len(known):
        new = new - _product(_product(found.inverse, found.along), known)
    return new


def _coordinates(coordinates: Any, found: _Pass) -> Any:
    import jax.numpy as jnp

    along, own = jnp.split(coordinates, [found.along.shape[1]], axis=1)
    own = own * found.norms
    return jnp.concatenate([along + _product(own, found.along), _product(own, found.lower)], axis=1)


def _inverse(norms: Any) -> Any:
    import jax.numpy as jnp

    return jnp.where(norms == 0, 0, 1 / jnp.where(norms == 0, 1, norms))


def _product(first: Any, second: Any) -> Any:
    import jax.numpy as jnp

    return jnp.matmul(first, second, precision="highest")
