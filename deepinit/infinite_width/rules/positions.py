"""Vectors of positions, added: learned ones, shared by all inputs, or sinusoidal ones."""

import jax.numpy as jnp

from deepinit.core.layers.attention import Positions
from deepinit.core.layers.layer import Shape, refuse
from deepinit.infinite_width.rules_table import INFINITE, entry_variance
from deepinit.infinite_width.states import Kernel, State, absorbed, each_block, on_ntk


@INFINITE.rule(Positions)
def _positions(layer: Positions, state: State, shape: Shape, depth: int, path: str) -> State:
    if layer.kind == "sinusoidal":
        raise refuse(path, layer, "sinusoidal positions", "learned ones", "Simulate.")
    own = entry_variance(layer, "law", 1, depth, path, gaussian=True) * jnp.eye(shape.num_positions)

    def added(kernel: Kernel) -> Kernel:
        return Kernel(kernel.cov + own, on_ntk(lambda ntk: ntk + own, kernel.ntk))

    blurred = state.blurred or (bool(state.gain) and state.gaussian)
    return each_block(absorbed(state), added, blurred=blurred)
