"""Transposed random linear maps, given their residuals.

`transpose(key, saved, vectors [num, fan_out], layer, fan_in, precision) -> (images [num, fan_in],
factors)`; `Factors` of the vectors and rows, None where they are not known.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.generator import standard_normals
from deepinit.core.laws import Law
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.linear_maps import Saved, lower_factor
from deepinit.networks.rows import Rows


class Factors(NamedTuple):
    """Lower triangular L, L L^T the Gram matrix: of cotangents U A and rows H B, W = A Z B^T."""

    cotangents: jax.Array
    rows: jax.Array


def explicit(
    key: jax.Array, saved: None, vectors: jax.Array, layer: LinearLayer, fan_in: int, precision: str
) -> tuple[jax.Array, None]:
    """Draw W again and multiply: any law, cost fan_in * fan_out."""
    del saved
    shape = (vectors.shape[1], fan_in)
    weights = layer.weight_law.sample(
        jax.random.fold_in(key, 0), shape, depth=layer.depth, dtype=vectors.dtype
    )
    return jnp.matmul(vectors, weights, precision=precision), None


def conditional(
    key: jax.Array,
    saved: Saved,
    vectors: jax.Array,
    layer: LinearLayer,
    fan_in: int,
    precision: str,
) -> tuple[jax.Array, Factors | None]:
    """W^T u without W, in the exact joint law with images of k rows: cost (k + num) n.

    For rows H = L Q, Q orthonormal, and forward normals N [k, fan_out], P = I - Q^T Q, independent
    W', W = s (N^T Q + W' P): U W = s (U N^T Q + X P), rows of X of covariance U U^T.
    """
    del precision
    law, mean = layer.weight_law, None
    if isinstance(law, MatrixLaw):
        mean, outer, inner = law.arrays(layer.depth, vectors.dtype)
        cotangents, scale = _product(vectors, outer), 1.0
    else:
        cotangents, scale = vectors, law.entry_std(fan_in, layer.depth, vectors.dtype)
    shape = (len(cotangents), fan_in)
    others = standard_normals(jax.random.fold_in(key, 3), shape, cotangents.dtype)
    factor = lower_factor(cotangents)
    fresh = _product(factor, others)
    along = _product(cotangents, saved.normals.T) - _product(fresh, saved.directions.T)
    images = scale * (fresh + _product(along, saved.directions))
    factors = None if saved.factor is None else Factors(factor, saved.factor)
    if mean is None:
        return images, factors
    return _product(images, inner.T) + _product(vectors, mean), factors


def parameter_products(
    layer: LinearLayer,
    inputs: jax.Array,
    vectors: jax.Array,
    points: tuple[int, ...],
    num: int,
    num_points: int,
    factors: Factors | None,
) -> tuple[jax.Array, jax.Array]:
    """Products [num, num] of gradients by weights and biases, in NTK parametrization.

    df / dW = sum over positions of u h^T: products of u times products of h (`vectors`, `inputs`),
    summed over pairs; from their `factors` at once.
    """
    law, depth, dtype, fan_in = layer.weight_law, layer.depth, inputs.dtype, inputs.shape[1]
    rows = inputs.reshape(num_points, -1, fan_in)[np.asarray(points)]
    cotangents = vectors.reshape(num, -1, vectors.shape[1])
    if isinstance(law, MatrixLaw) and not law.has_product_covariance:
        gradients = jnp.einsum("ipo,iph->ioh", cotangents, rows, precision="highest")
        gradients = _product(gradients.reshape(num, -1), law.full_factor(depth, dtype))
        weights = _product(gradients, gradients.T)
    elif factors is not None:
        weights = _products_of(factors, points, num, num_points)
        if isinstance(law, Law):
            weights = law.entry_std(fan_in, depth, dtype) ** 2 * weights
    else:
        if isinstance(law, Law):
            back, rows = cotangents, law.entry_std(fan_in, depth, dtype) * rows
        else:
            _, outer, inner = law.arrays(depth, dtype)
            back, rows = _product(cotangents, outer), _product(rows, inner)
        back_products = jnp.einsum("ipo,jqo->ijpq", back, back, precision="highest")
        row_products = jnp.einsum("iph,jqh->ijpq", rows, rows, precision="highest")
        weights = jnp.sum(back_products * row_products, axis=(2, 3))
    bias_law, total = layer.bias_law, jnp.sum(cotangents, axis=1)
    if bias_law is None:
        return weights, jnp.zeros_like(weights)
    if isinstance(bias_law, Law):
        total = bias_law.entry_std(1, depth, dtype) * total
    elif bias_law.has_product_covariance:
        total = _product(total, bias_law.arrays(depth, dtype)[1])
    else:
        total = _product(total, bias_law.full_factor(depth, dtype))
    return weights, _product(total, total.T)


def _products_of(factors: Factors, points: tuple[int, ...], num: int, num_points: int) -> jax.Array:
    """sum_pq (u_ip . u_jq) (h_ip . h_jq), [num, num]."""

    def products(factor: jax.Array, count: int) -> jax.Array:  # [count, count, p, q]
        gram = _product(factor, factor.T)
        return gram.reshape(count, -1, count, len(gram) // count).transpose(0, 2, 1, 3)

    at = np.asarray(points)
    rows = products(factors.rows, num_points)[at][:, at]
    return jnp.sum(products(factors.cotangents, num) * rows, axis=(2, 3))


def _product(first: Any, second: Any) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")


def auto(
    key: jax.Array, saved: Any, vectors: jax.Array, layer: LinearLayer, fan_in: int, precision: str
) -> tuple[jax.Array, Factors | None]:
    """The transpose of `linear_maps.auto`."""
    transposed = explicit if saved is None else conditional
    return transposed(key, saved, vectors, layer, fan_in, precision)


TRANSPOSES: dict[str, Callable[..., tuple[jax.Array, Factors | None]]] = {
    "explicit": explicit,
    "conditional": conditional,
    "auto": auto,
}


WeightsAndBiases = tuple[Products, Products]  # of weights, of biases
Transpose = Callable[..., tuple[Cotangents, WeightsAndBiases]]


def cotangent_maps(linear_map: str, precision: str, points: tuple[int, ...]) -> Transpose:
    """`transposes` of a linear map's name."""
    draw = TRANSPOSES[linear_map]
    return transposes(lambda *given: draw(*given, precision), points)


def transposes(
    draw: Callable[..., tuple[jax.Array, Factors | None]], points: tuple[int, ...]
) -> Transpose:
    """Transposed linear maps of cotangents, for any view; `at`: other points of cotangents.

    Args:
        draw: `(key, saved, vectors, layer, fan_in) -> (images [num, fan_in], factors or None)`.
    """

    def transpose(
        key: jax.Array,
        saved: Any,
        rows: Rows,
        back: Cotangents,
        layer: LinearLayer,
        at: tuple[int, ...] = points,
    ) -> tuple[Cotangents, WeightsAndBiases]:
        stacked, vectors, num, view = rows.points, back.vectors, len(back.vectors), layer.view
        inputs = stacked if view is None else view.extract(stacked)
        vectors = vectors.reshape(num * len(inputs) // len(stacked), -1)
        images, factors = draw(key, saved, vectors, layer, inputs.shape[1])
        if view is not None:  # its transpose acts on the cotangent of each function
            one = jax.vjp(view.extract, jnp.zeros((1, stacked.shape[1]), stacked.dtype))[1]
            images = images.reshape(num, -1, images.shape[1])
            images = jax.vmap(lambda image: one(image)[0][0])(images)
        weights, biases = parameter_products(layer, inputs, vectors, at, num, len(stacked), factors)
        own = rows.point_scales[np.asarray(at)]
        scale = back.log_scales[:, None] + back.log_scales[None]
        sizes = own[:, None] + own[None]
        products = Products(weights, scale + sizes), Products(biases, scale)
        return Cotangents(images, back.log_scales), products

    return transpose
