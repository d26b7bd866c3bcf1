"""The transpose of a layer's random linear map, given what the map did on the way forward: two ways, as in `linear_maps`.

Both have the signature `transpose(key, drawn, vectors, layer, fan_in, precision) -> [num, fan_in]`: key of the layer, drawn what the map of
`linear_maps.KEEPING` has kept, vectors [num, fan_out].
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from deepinit.core.generator import standard_normals
from deepinit.core.laws import Law
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.networks.cotangents import Cotangents, Products
from deepinit.networks.layers import Layer
from deepinit.networks.linear_maps import Drawn, lower_factor
from deepinit.networks.rows import Rows


def explicit(
    key: Any, drawn: None, vectors: jax.Array, layer: Layer, fan_in: int, precision: str
) -> jax.Array:
    """Draws W again from its key and multiplies: any law, cost fan_in * fan_out."""
    del drawn
    shape = (vectors.shape[1], fan_in)
    weights = layer.weight_law.sample(
        jax.random.fold_in(key, 0), shape, depth=layer.depth, dtype=vectors.dtype
    )
    return jnp.matmul(vectors, weights, precision=precision)


def conditional(
    key: Any, drawn: Drawn, vectors: jax.Array, layer: Layer, fan_in: int, precision: str
) -> jax.Array:
    """W^T u for the given vectors u without drawing W, in the exact joint law with the images W h of the k rows h: cost (k + num) n.

    With rows H = L Q, Q orthonormal, W = s (N^T Q + W' (I - Q^T Q)): N [k, fan_out] are the normals of the way forward, W' is
    independent of them and so far untouched. Hence U W = s (U N^T Q + X (I - Q^T Q)), the rows of X Gaussian with covariance U U^T.
    """
    del precision
    law, mean = layer.weight_law, None
    if isinstance(law, MatrixLaw):
        mean, outer, inner = law.arrays(layer.depth, vectors.dtype)
        passed, scale = _product(vectors, outer), 1.0
    else:
        passed, scale = vectors, law.entry_std(fan_in, layer.depth, vectors.dtype)
    others = standard_normals(jax.random.fold_in(key, 3), (len(passed), fan_in), passed.dtype)
    fresh = _product(lower_factor(passed), others)
    along = _product(passed, drawn.normals.T) - _product(fresh, drawn.directions.T)
    images = scale * (fresh + _product(along, drawn.directions))
    if mean is None:
        return images
    return _product(images, inner.T) + _product(vectors, mean)


def parameter_products(
    layer: Layer,
    seen: jax.Array,
    vectors: jax.Array,
    points: tuple[int, ...],
    num: int,
    num_points: int,
) -> tuple[jax.Array, jax.Array]:
    """Inner products [num, num] of the gradients with respect to the layer's weights and biases, as multiples of standard normal numbers.

    df / dW = sum over positions of u h^T, so the products are those of the u times those of the h, summed over pairs of positions.

    Args:
        layer: the layer.
        seen: [num_points * positions, fan_in], the rows h.
        vectors: [num * positions, fan_out], the cotangents u.
        points: of each function.
        num, num_points: functions, points.
    """
    law, chosen = layer.weight_law, seen.reshape(num_points, -1, seen.shape[1])[np.asarray(points)]
    cotangents = vectors.reshape(num, -1, vectors.shape[1])
    if isinstance(law, MatrixLaw) and not law.has_product_covariance:
        gradients = jnp.einsum("ipo,iph->ioh", cotangents, chosen, precision="highest").reshape(
            num, -1
        )
        gradients = _product(gradients, law.full_factor(layer.depth, seen.dtype))
        weights = _product(gradients, gradients.T)
    else:
        if isinstance(law, Law):
            passed, rows = (
                cotangents,
                law.entry_std(seen.shape[1], layer.depth, seen.dtype) * chosen,
            )
        else:
            _, outer, inner = law.arrays(layer.depth, seen.dtype)
            passed, rows = _product(cotangents, outer), _product(chosen, inner)
        products = jnp.einsum("ipo,jqo->ijpq", passed, passed, precision="highest")
        weights = jnp.sum(
            products * jnp.einsum("iph,jqh->ijpq", rows, rows, precision="highest"), axis=(2, 3)
        )
    bias_law, total = layer.bias_law, jnp.sum(cotangents, axis=1)
    if bias_law is None:
        return weights, jnp.zeros_like(weights)
    if isinstance(bias_law, Law):
        total = bias_law.entry_std(1, layer.depth, seen.dtype) * total
    elif bias_law.has_product_covariance:
        total = _product(total, bias_law.arrays(layer.depth, seen.dtype)[1])
    else:
        total = _product(total, bias_law.full_factor(layer.depth, seen.dtype))
    return weights, _product(total, total.T)


def _product(first: Any, second: Any) -> jax.Array:
    return jnp.matmul(first, second, precision="highest")


TRANSPOSES: dict[str, Callable[..., jax.Array]] = {"explicit": explicit, "conditional": conditional}


WeightsAndBiases = tuple[Products, Products]  # of weights, of biases
Transpose = Callable[[Any, Any, Rows, Cotangents, Layer], tuple[Cotangents, WeightsAndBiases]]


def cotangent_maps(linear_map: str, precision: str, points: tuple[int, ...]) -> Transpose:
    """How cotangents go back through a layer's linear map, whatever it sees of its rows."""
    draw = TRANSPOSES[linear_map]

    def transpose(
        key: Any, drawn: Any, rows: Rows, back: Cotangents, layer: Layer
    ) -> tuple[Cotangents, WeightsAndBiases]:
        stacked, vectors, num = rows.points, back.vectors, len(back.vectors)
        if layer.view is None:
            seen = stacked
            images = draw(key, drawn, vectors, layer, seen.shape[1], precision)
        else:
            view = layer.view
            seen = view.seen(stacked)
            vectors = vectors.reshape(num * len(seen) // len(stacked), -1)
            images = draw(key, drawn, vectors, layer, seen.shape[1], precision)
            # a cotangent for each function: the view's own transpose acts on each alone
            one = jax.vjp(view.seen, jnp.zeros((1, stacked.shape[1]), stacked.dtype))[1]
            images = jax.vmap(lambda image: one(image)[0][0])(
                images.reshape(num, -1, images.shape[1])
            )
        weights, biases = parameter_products(layer, seen, vectors, points, num, len(stacked))
        at = np.asarray(points)
        scale = back.log_scales[:, None] + back.log_scales[None]
        sizes = rows.point_scales[at][:, None] + rows.point_scales[at][None]
        return Cotangents(images, back.log_scales), (
            Products(weights, scale + sizes),
            Products(biases, scale),
        )

    return transpose
