"""Activations: E[phi(u) phi(v)], and ntk' = E[phi'(u) phi'(v)] ntk."""

from deepinit.core.activations import linear
from deepinit.core.layers.layer import Shape
from deepinit.core.layers.neuronwise import Activation
from deepinit.infinite_width.centres import activated
from deepinit.infinite_width.closed_forms import Products
from deepinit.infinite_width.neuron_norms import is_normed, normed
from deepinit.infinite_width.products import with_products
from deepinit.infinite_width.rules_table import INFINITE, require_gaussian
from deepinit.infinite_width.states import Kernel, Source, State


@INFINITE.rule(Activation)
def _activation(layer: Activation, state: State, shape: Shape, depth: int, path: str) -> State:
    del shape, depth
    if layer.phi == linear:
        return state
    if state.centres is not None:
        return activated(layer.phi, state)
    if is_normed(state):
        return normed(layer.phi, state).replace(source=Source(state, layer))
    require_gaussian(layer, state, path)
    gain = state.gain

    def combine(kernel: Kernel, products: Products) -> Kernel:
        if kernel.ntk is None:
            return Kernel(products.values, None)
        ntk = products.slopes * kernel.ntk
        return Kernel(products.values, ntk + gain * products.gains if gain else ntk)

    after, mean = with_products(layer.phi, state, combine, gaussian=False, gain=0.0)
    return after.replace(mean=mean, source=Source(state, layer))
