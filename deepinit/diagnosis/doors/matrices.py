"""Weights and biases of one linear layer, drawn and applied."""

from typing import Any

import jax
import jax.numpy as jnp

from deepinit.networks.linear_layers import LinearLayer
from deepinit.networks.rows import Rows


def drawn_matrix(layer: LinearLayer, fan_in: int, key: Any) -> dict[str, Any]:
    """As `linear_layers.drawn_layer` draws it."""
    weight_key, bias_key = (jax.random.fold_in(key, purpose) for purpose in (0, 1))
    size, depth = (layer.fan_out, fan_in), layer.depth
    weights = layer.weight_law.sample(weight_key, size, depth=depth, dtype="float32")
    if layer.bias_law is None:
        return {"weights": weights}
    size = (layer.fan_out, 1)
    biases = layer.bias_law.sample(bias_key, size, depth=depth, dtype="float32")
    return {"weights": weights, "biases": biases[:, 0]}


def given_layer(parameters: Any, rows: Rows, layer: LinearLayer) -> tuple[Any, Any, Any]:
    """Images of rows by given weights, and the biases."""
    images = jnp.matmul(rows.stacked, parameters["weights"].T, precision="highest")
    return images, parameters.get("biases"), ()
