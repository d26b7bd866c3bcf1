"""Gates u phi(g), u and g independent N(0, cov): cov' = cov E[phi phi]."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.neuronwise import Gate
from deepinit.infinite_width.closed_forms import Products
from deepinit.infinite_width.neuron_norms import gated, is_normed
from deepinit.infinite_width.products import with_products
from deepinit.infinite_width.rules_table import INFINITE, require_gaussian
from deepinit.infinite_width.states import Kernel, State


@INFINITE.rule(Gate)
def _gate(layer: Gate, state: State, shape: Shape, depth: int, path: str) -> State:
    del shape, depth
    if is_normed(state):
        return gated(layer.phi, state)
    require_gaussian(layer, state, path)
    gain = state.gain

    def combine(kernel: Kernel, products: Products) -> Kernel:
        values = kernel.cov * products.values
        if kernel.ntk is None:
            return Kernel(values, None)
        ntk = kernel.ntk * (products.values + kernel.cov * products.slopes)
        if gain:
            ntk = ntk + gain * (values + kernel.cov * products.gains)
        return Kernel(values, ntk)

    after, _ = with_products(layer.phi, state, combine, gaussian=False, gain=0.0)
    return after.replace(mean=jnp.zeros_like(state.mean))
