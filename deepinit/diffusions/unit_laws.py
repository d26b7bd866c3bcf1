"""Laws of weights and biases per unit of time: sums over infinitely many blocks.

W = mean / L + noise / sqrt(L) in each of L blocks: the sum tends to mean t + a Brownian motion with
the covariance of the noise, for any law of its entries.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from deepinit.core import validate
from deepinit.core.laws import Law
from deepinit.core.matrix_laws import MatrixLaw, semidefinite_factor


class UnitLaw(NamedTuple):
    """A Brownian matrix [fan_out, fan_in] with drift, Z standard normal.

    B(t) = mean t + sqrt(t) (scale Z, or A Z B^T, or F vec Z).

    Attributes:
        law: sampler of increments without the drift.
        mean: drift, or None.
        scale: standard deviation of independent entries.
        outer, inner: A and B of a product covariance A A^T x B B^T.
        full: F of a general covariance F F^T.
    """

    law: Law | MatrixLaw
    shape: tuple[int, int]
    mean: Any = None
    scale: Any = None
    outer: Any = None
    inner: Any = None
    full: Any = None

    @property
    def acts_on_rows(self) -> bool:
        """Whether images of rows can be drawn without the matrix."""
        return self.full is None

    def increment(self, key: jax.Array, duration: float, dtype: DTypeLike) -> jax.Array:
        """The Brownian part over `duration`: the draw of a network of 1 / duration layers."""
        depth: Any = 1.0 / duration
        return self.law.sample(key, self.shape, depth=depth, dtype=dtype)

    def coloured(self, standard: jax.Array) -> jax.Array:
        """The increment from standard Brownian increments [fan_out, fan_in]."""
        if self.scale is not None:
            return self.scale * standard
        if self.full is None:
            return _matmul(_matmul(self.outer, standard), self.inner.T)
        return _matmul(self.full, standard.reshape(-1)).reshape(self.shape)

    def extract(self, rows: jax.Array) -> jax.Array:
        """B^T h: rows whose inner products are the covariances of the images."""
        return rows if self.inner is None else _matmul(rows, self.inner)

    def spread(self, images: jax.Array) -> jax.Array:
        """A z, from images z [k, fan_out] of independent neurons."""
        return self.scale * images if self.outer is None else _matmul(images, self.outer.T)

    def drifted(self, rows: jax.Array) -> jax.Array:
        """[k, fan_out]: images of the rows under the drift."""
        if self.mean is None:
            return jnp.zeros((len(rows), self.shape[0]), rows.dtype)
        return _matmul(rows, self.mean.T)

    def variances(self, rows: jax.Array) -> jax.Array:
        """[k, fan_out]: variance per unit of time of the rows' images."""
        if self.full is not None:
            factor = self.full.reshape(*self.shape, -1)
            images = jnp.einsum("oin,ki->kon", factor, rows, precision="highest")
            return jnp.sum(images * images, axis=2)
        norms = jnp.sum(self.extract(rows) ** 2, axis=1, keepdims=True)
        if self.outer is None:
            return jnp.broadcast_to(self.scale**2 * norms, (len(rows), self.shape[0]))
        return norms * jnp.sum(self.outer**2, axis=1)

    def squared(self, derivative: jax.Array) -> jax.Array:
        """[n, n]: rate of [Z, Z]_ij = sum_k d[Z_ik, Z_kj], Z = B diag(derivative), B square."""
        if self.scale is not None:
            return self.scale**2 * jnp.diag(derivative * derivative)
        if self.full is None:
            outer, inner = _matmul(self.outer, self.outer.T), _matmul(self.inner, self.inner.T)
            return _matmul(outer * derivative, inner * derivative)
        factor = self.full.reshape(*self.shape, -1)
        return jnp.einsum(
            "ikn,kjn,k,j->ij", factor, factor, derivative, derivative, precision="highest"
        )


def unit_law(
    law: Law | MatrixLaw,
    shape: tuple[int, int],
    name: str,
    dtype: DTypeLike,
    *,
    brownian: bool = True,
) -> UnitLaw:
    """The law per unit of time of one layer's law; SpecError if it does not shrink with depth.

    `law`: of the matrix, or of the bias as one column. `brownian`: Gaussian increments; else those
    of the law.
    """
    given, remedy = f"{name} with scaling {law.scaling!r}", f"{name}=di.normal(s, scaling='depth')."
    validate.require(law.scaling == "depth", given, "scaling 'depth', or a matrix law", remedy)
    if isinstance(law, Law):
        sampler = dataclasses.replace(law, name="normal", density=None) if brownian else law
        return UnitLaw(sampler, shape, scale=math.sqrt(law.entry_variance(shape[1])))
    centred, mean = dataclasses.replace(law, mean=None), law.drift(1, dtype)
    if law.has_product_covariance:
        _, outer, inner = law.arrays(1, dtype)
        return UnitLaw(centred, shape, mean, outer=outer, inner=inner)
    return UnitLaw(centred, shape, mean, full=np.asarray(semidefinite_factor(law.full_cov), dtype))


def _matmul(first: Any, second: Any) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")
