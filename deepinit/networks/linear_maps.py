"""Random linear maps of a layer: explicit, or conditional on given rows.

`linear_map(key, rows, law, fan_out, depth,
precision) -> [num_rows, fan_out]`, images of `rows.stacked`; `WITH_RESIDUALS` add residuals for the
transpose.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.core.generator import standard_normals
from deepinit.core.laws import Law
from deepinit.core.layers.outline import is_conditional
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.core.orthonormal import orthonormalize_rows
from deepinit.networks.rows import Rows


def explicit(
    key: jax.Array, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> jax.Array:
    """Draw W and multiply: any law, cost fan_in * fan_out."""
    stacked = rows.stacked
    weights = law.sample(key, (fan_out, stacked.shape[1]), depth=depth, dtype=stacked.dtype)
    return jnp.matmul(stacked, weights.T, precision=precision)


def conditional(
    key: jax.Array, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> jax.Array:
    """W h of k given rows without W: exact for Gaussian and Haar weights used once.

    Cost k * fan_out. For rows H = L Q, Q orthonormal, H W^T is sqrt(v) L times k x fan_out standard
    normals, v the variance of a weight. A Haar W maps Q to uniform orthonormal vectors in the
    larger space; the image is their first fan_out coordinates.
    """
    del precision  # the product is k x k by k x fan_out: full precision costs nothing
    if isinstance(law, MatrixLaw):
        return _correlated(key, rows, law, fan_out, depth)
    fan_in = rows.points.shape[1]
    factor = law.entry_std(fan_in, depth, rows.points.dtype) * factor_of(rows)
    larger = max(fan_in, fan_out)
    shape = (factor.shape[0], larger if law.is_haar else fan_out)
    normals = standard_normals(key, shape, factor.dtype)
    if law.is_haar:
        frame = orthonormalize_rows(_without_dependent_rows(factor, normals))[0]
        normals = math.sqrt(larger) * frame[:, :fan_out]
    return _product(factor, normals)


def _correlated(key: jax.Array, rows: Rows, law: MatrixLaw, fan_out: int, depth: int) -> jax.Array:
    """`conditional` for W = mean + A Z B^T, Z drawn on rows B^T h."""
    stacked = rows.stacked
    mean, outer, inner = law.arrays(depth, stacked.dtype)
    factor = lower_factor(_product(stacked, inner))
    normals = standard_normals(key, (len(stacked), fan_out), stacked.dtype)
    images = _product(_product(factor, normals), outer.T)
    return images if mean is None else images + _product(stacked, mean.T)


def _without_dependent_rows(factor: jax.Array, normals: jax.Array) -> jax.Array:
    """Normals [k, n], 0 for dependent rows: no room for k > n."""
    tolerance = 4.0 * float(jnp.finfo(factor.dtype).eps)
    own2, norm2 = jnp.diagonal(factor) ** 2, jnp.sum(factor * factor, axis=1)
    return jnp.where((own2 > tolerance**2 * norm2)[:, None], normals, 0)


class Saved(NamedTuple):
    """Residuals of W = mean + A Z B^T, Z acting on rows H = L Q.

    Q [k, fan_in] are orthonormal `directions`, `normals` [k, fan_out] their images.
    """

    directions: jax.Array
    normals: jax.Array


def explicit_with_residuals(
    key: jax.Array, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> tuple[jax.Array, None]:
    """`explicit`; W is drawn again, not stored (fan_in * fan_out per layer)."""
    return explicit(key, rows, law, fan_out, depth, precision), None


def conditional_with_residuals(
    key: jax.Array,
    rows: Rows,
    law: Law | MatrixLaw,
    fan_out: int,
    depth: int,
    precision: str,
    known: Saved | None = None,
) -> tuple[jax.Array, Saved]:
    """`conditional` of Gaussian weights, with residuals; `known`: of earlier uses."""
    del precision
    stacked = rows.stacked
    mean = outer = None
    if isinstance(law, MatrixLaw):
        mean, outer, inner = law.arrays(depth, stacked.dtype)
        inputs, scale = _product(stacked, inner), 1.0
    else:
        inputs, scale = stacked, law.entry_std(stacked.shape[1], depth, stacked.dtype)
    normals = standard_normals(key, (len(inputs), fan_out), inputs.dtype)
    earlier = () if known is None else (known.directions, known.normals)
    directions, factor = orthonormalize_rows(inputs, *earlier[:1])
    images = _product(scale * factor, jnp.concatenate([*earlier[1:], normals]))
    if outer is not None:
        images = _product(images, outer.T)
    if mean is not None:
        images = images + _product(stacked, mean.T)
    return images, Saved(directions, normals)


_MOST_UNROLLED = 8


def factor_of(rows: Rows) -> jax.Array:
    """`lower_factor` of rows; of one point or pair from cached products."""
    if len(rows.points) != 1 or len(rows.displacements) > 1 or rows.tangents is not None:
        return lower_factor(rows.stacked)
    point_norm2, parallel, residual_norm2 = rows.inner_products
    norm = jnp.sqrt(point_norm2)
    if len(rows.displacements) == 0:
        return norm[None]
    pair = jnp.concatenate([parallel * norm, jnp.sqrt(residual_norm2)])
    return jnp.stack([jnp.concatenate([norm, 0 * norm]), pair])


def lower_factor(rows: jax.Array) -> jax.Array:
    """L [k, k], lower triangular, L L^T = H H^T, by twice projected Gram-Schmidt on H.

    Dependent rows (to rounding) get no direction; Cholesky would fail.
    """
    num_rows = rows.shape[0]
    if num_rows > _MOST_UNROLLED:
        return orthonormalize_rows(rows)[1]
    directions: list[jax.Array] = []
    factor = []
    for i in range(num_rows):
        residual, coefficients = rows[i], [jnp.zeros((), rows.dtype)] * num_rows
        for _ in range(2 if directions else 0):
            for j, direction in enumerate(directions):
                coefficient = jnp.sum(residual * direction)
                coefficients[j] += coefficient
                residual = residual - coefficient * direction
        norm = jnp.sqrt(jnp.sum(residual * residual))
        coefficients[i] = norm
        directions.append(residual / jnp.where(norm == 0, 1, norm))
        factor.append(jnp.stack(coefficients))
    return jnp.stack(factor)


def _product(first: Any, second: Any) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")


def auto(
    key: jax.Array, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> jax.Array:
    """`conditional` where exact and cheaper, else `explicit`; layer by layer."""
    return auto_with_residuals(key, rows, law, fan_out, depth, precision)[0]


def auto_with_residuals(
    key: jax.Array, rows: Rows, law: Law | MatrixLaw, fan_out: int, depth: int, precision: str
) -> tuple[jax.Array, Saved | None]:
    """`auto`, with residuals."""
    if is_conditional(law, *rows.stacked.shape):
        return conditional_with_residuals(key, rows, law, fan_out, depth, precision)
    return explicit_with_residuals(key, rows, law, fan_out, depth, precision)


FUNCTIONS = {"explicit": explicit, "conditional": conditional, "auto": auto}
WITH_RESIDUALS: dict[str, Callable[..., Any]] = {
    "explicit": explicit_with_residuals,
    "conditional": conditional_with_residuals,
    "auto": auto_with_residuals,
}
