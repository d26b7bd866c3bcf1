"""Two ways to draw the random linear map of a layer: the matrix itself, or its action on the rows at hand.

Both have the signature `linear_map(key, rows, law, fan_out, depth, precision) -> [num_rows, fan_out]`: the images of
`rows.stacked`, rows a `networks.rows.Rows`. Those of `KEEPING` also return what the transpose of the map asks for.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.generator import standard_normals
from deepinit.core.laws import Law
from deepinit.core.linear_algebra import orthonormalize_rows
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.networks.rows import Rows


def explicit(
    key: Any, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> jax.Array:
    """Draws W [fan_out, fan_in] and multiplies: any law, cost fan_in * fan_out."""
    stacked = rows.stacked
    weights = law.sample(key, (fan_out, stacked.shape[1]), depth=depth, dtype=stacked.dtype)
    return jnp.matmul(stacked, weights.T, precision=precision)


def conditional(
    key: Any, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> jax.Array:
    """Draws W h for the k given rows h without drawing W: exact for Gaussian and Haar weights used once, cost k * fan_out.

    Given the rows H [k, fan_in], the columns of H W^T are fan_out independent draws of N(0, v H H^T), v the variance of
    one weight. With H = L Q, Q of orthonormal rows, they are sqrt(v) L times k x fan_out standard normals.

    A Haar-distributed W takes the k orthonormal rows of Q to k uniform orthonormal ones, in the larger of the two spaces; of
    them the first fan_out coordinates are the image.
    """
    del precision  # the product is k x k by k x fan_out: full precision costs nothing
    if isinstance(law, MatrixLaw):
        return _correlated(key, rows, law, fan_out, depth)
    fan_in = rows.points.shape[1]
    factor = law.entry_std(fan_in, depth, rows.points.dtype) * factor_of(rows)
    larger = max(fan_in, fan_out)
    normals = standard_normals(
        key, (factor.shape[0], larger if law.is_haar else fan_out), factor.dtype
    )
    if law.is_haar:
        normals = (
            math.sqrt(larger) * orthonormalize_rows(_of_directions(factor, normals))[0][:, :fan_out]
        )
    return jnp.matmul(factor, normals, precision="highest")


def _correlated(key: Any, rows: Rows, law: MatrixLaw, fan_out: int, depth: int) -> jax.Array:
    """The same for W = mean + A Z B^T: the rows B^T h under Z, then A, and the mean's own image."""
    stacked = rows.stacked
    mean, outer, inner = law.arrays(depth, stacked.dtype)
    factor = lower_factor(jnp.matmul(stacked, inner, precision="highest"))
    normals = standard_normals(key, (len(stacked), fan_out), stacked.dtype)
    images = jnp.matmul(
        jnp.matmul(factor, normals, precision="highest"), outer.T, precision="highest"
    )
    return images if mean is None else images + jnp.matmul(stacked, mean.T, precision="highest")


def _of_directions(factor: jax.Array, normals: jax.Array) -> jax.Array:
    """Normals [k, n] that are 0 for the rows of H without a direction of their own, of which there is no room for k > n."""
    tolerance = 4.0 * float(jnp.finfo(factor.dtype).eps)
    own2, norm2 = jnp.diagonal(factor) ** 2, jnp.sum(factor * factor, axis=1)
    return jnp.where((own2 > tolerance**2 * norm2)[:, None], normals, 0)


class Drawn(NamedTuple):
    """What a conditional map has fixed of W, with H = L Q the rows that Z sees, W = mean + A Z B^T (A = B = 1 for a law of independent entries).

    Attributes:
        directions: Q [k, fan_in], orthonormal rows.
        normals: N [k, fan_out]: Z takes the directions to N, as far as it is known.
    """

    directions: jax.Array
    normals: jax.Array


def explicit_again(
    key: Any, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> tuple[jax.Array, None]:
    """`explicit`; nothing is kept, W is drawn once more: keeping it would cost fan_in * fan_out of memory in every layer."""
    return explicit(key, rows, law, fan_out, depth, precision), None


def conditional_kept(
    key: Any, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> tuple[jax.Array, Drawn]:
    """`conditional` of Gaussian weights, with the directions and normals: one factorization and one draw serve both ways."""
    del precision
    seen, mean, outer = rows.stacked, None, None
    if isinstance(law, MatrixLaw):
        stacked = seen
        mean, outer, inner = law.arrays(depth, stacked.dtype)
        seen, scale = jnp.matmul(stacked, inner, precision="highest"), 1.0
    else:
        scale = law.entry_std(seen.shape[1], depth, seen.dtype)
    directions, factor = orthonormalize_rows(seen)
    normals = standard_normals(key, (len(seen), fan_out), seen.dtype)
    images = jnp.matmul(scale * factor, normals, precision="highest")
    if outer is not None:
        images = jnp.matmul(images, outer.T, precision="highest")
    if mean is not None:
        images = images + jnp.matmul(stacked, mean.T, precision="highest")
    return images, Drawn(directions, normals)


_MOST_UNROLLED = 8


def factor_of(rows: Rows) -> jax.Array:
    """`lower_factor` of the stacked rows; for one point, or one pair, from the inner products that are known."""
    if len(rows.points) != 1 or len(rows.displacements) > 1 or rows.tangents is not None:
        return lower_factor(rows.stacked)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    norm = jnp.sqrt(point_norm2)
    if len(rows.displacements) == 0:
        return norm[None]
    return jnp.stack(
        [
            jnp.concatenate([norm, 0 * norm]),
            jnp.concatenate([parallel * norm, jnp.sqrt(residual_norm2)]),
        ]
    )


def lower_factor(rows: jax.Array) -> jax.Array:
    """L [k, k], lower triangular with L L^T = H H^T, by Gram-Schmidt on the rows H [k, n], each projected twice.

    A row that depends on the earlier ones to rounding gets no direction of its own (Cholesky of H H^T would fail there).
    Many rows are taken in a loop; unrolled, they would take long to compile.
    """
    num_rows = rows.shape[0]
    if num_rows > _MOST_UNROLLED:
        return orthonormalize_rows(rows)[1]
    directions: list[jax.Array] = []
    lines = []
    for i in range(num_rows):
        residual, line = rows[i], [jnp.zeros((), rows.dtype)] * num_rows
        for _ in range(2 if directions else 0):
            for j, direction in enumerate(directions):
                coefficient = jnp.sum(residual * direction)
                line[j] += coefficient
                residual = residual - coefficient * direction
        norm = jnp.sqrt(jnp.sum(residual * residual))
        line[i] = norm
        directions.append(residual / jnp.where(norm == 0, 1, norm))
        lines.append(jnp.stack(line))
    return jnp.stack(lines)


FUNCTIONS = {"explicit": explicit, "conditional": conditional}
KEEPING = {"explicit": explicit_again, "conditional": conditional_kept}
