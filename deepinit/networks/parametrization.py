"""NTK parametrization: parameters of variance 1."""

import math
from typing import Any

import jax

from deepinit.core.generator import sequential_bits
from deepinit.core.matrix_laws import MatrixLaw
from deepinit.networks.linear_layers import LinearLayer

_PURPOSES = {"weights": 0, "biases": 1}  # of a layer's key, as in `forward.random_layer`


def unit_parameters(
    key: jax.Array, drawn: dict[str, jax.Array], layer: LinearLayer
) -> dict[str, jax.Array]:
    """Parameters of variance 1 of values drawn from this key."""
    laws = {"weights": layer.weight_law, "biases": layer.bias_law}
    result = {}
    for name, values in drawn.items():
        law = laws[name]
        if isinstance(law, MatrixLaw):
            shape = values.shape if values.ndim == 2 else (*values.shape, 1)
            purpose = jax.random.fold_in(key, _PURPOSES[name])
            with sequential_bits():
                normals = jax.random.normal(purpose, shape, values.dtype)
            result[name] = normals.reshape(values.shape)
        else:
            result[name] = values / _std(law, values, layer.depth)
    return result


def scaled_parameters(parameters: dict[str, jax.Array], layer: LinearLayer) -> dict[str, jax.Array]:
    """Matrix and biases from parameters of variance 1."""
    laws = {"weights": layer.weight_law, "biases": layer.bias_law}
    result = {}
    for name, values in parameters.items():
        law = laws[name]
        if isinstance(law, MatrixLaw):
            matrix = values if values.ndim == 2 else values[:, None]
            result[name] = law.of_normals(matrix, layer.depth).reshape(values.shape)
        else:
            result[name] = _std(law, values, layer.depth) * values
    return result


def _std(law: Any, values: jax.Array, depth: int) -> float:
    """1 for a law without randomness."""
    return math.sqrt(law.entry_variance(values.shape[1] if values.ndim == 2 else 1, depth)) or 1.0
