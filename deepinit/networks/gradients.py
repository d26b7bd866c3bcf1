"""Gradients of one network."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from deepinit.networks.cotangents import Cotangents, Products, sum_of


class Gradients(NamedTuple):
    """Values and gradients of one network, by parameters in NTK parametrization.

    Attributes:
        outputs: [num_points, width], or last site, times exp(output_scales).
        layers: [sites, num], ln |gradient|^2 by each site's output (stream after a block).
        inputs: cotangents [num, dimension]; [num * num_points, dimension], of every input of the
            batch, with layers that couple inputs.
        weights, biases: products [num, num], of the body.
        embedding, readout: products [num, num], weights and biases; 0 without the layer.
        records: [sites, length], if asked.
    """

    outputs: jax.Array
    output_scales: jax.Array
    layers: jax.Array
    inputs: Cotangents
    weights: Products
    biases: Products
    embedding: Products
    readout: Products
    records: Any = ()

    @property
    def products(self) -> Products:
        """[num, num]: by all parameters."""
        return sum_of(self.weights, self.biases, self.embedding, self.readout)

    @property
    def ntk(self) -> jax.Array:
        """[num, num]: `products`, which may underflow or overflow."""
        return self.products.value * jnp.exp(self.products.log_scale)
