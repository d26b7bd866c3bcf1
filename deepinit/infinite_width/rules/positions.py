"""Vectors of positions, added: learned ones, shared by all inputs, or sinusoidal ones,
(sin, cos)(p 10000^(-2i/n)), i < n/2, of n neurons.
"""

import jax.numpy as jnp

from deepinit.core.layers.attention import Positions
from deepinit.core.layers.layer import Shape, refuse
from deepinit.infinite_width.rules_table import INFINITE, entry_variance
from deepinit.infinite_width.states import Kernel, State, absorbed, each_block, on_ntk


@INFINITE.rule(Positions)
def _positions(layer: Positions, state: State, shape: Shape, depth: int, path: str) -> State:
    blurred = state.blurred or (bool(state.gain) and state.gaussian)
    state = absorbed(state)
    if layer.kind == "sinusoidal":
        return _sinusoidal(layer, state, shape, path)
    own = entry_variance(layer, "law", 1, depth, path, gaussian=True) * jnp.eye(shape.num_positions)

    def added(kernel: Kernel) -> Kernel:
        return Kernel(kernel.cov + own, on_ntk(lambda ntk: ntk + own, kernel.ntk))

    return each_block(state, added, blurred=blurred)


def _sinusoidal(layer: Positions, state: State, shape: Shape, path: str) -> State:
    if not state.gaussian:
        given = "sinusoidal positions on neurons that may depend on them"
        raise refuse(path, layer, given, "columns of random linear maps", "Embed the inputs first.")
    width = shape.width or 1
    angles = jnp.outer(
        jnp.arange(shape.num_positions), 10000.0 ** (-2.0 * jnp.arange(width // 2) / width)
    )
    vectors = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], axis=1)
    products = vectors @ vectors.T / width
    mean = jnp.broadcast_to(jnp.sum(vectors, axis=1) / width, state.mean.shape)
    return each_block(
        state, lambda kernel: Kernel(kernel.cov + products, kernel.ntk), gaussian=False, mean=mean
    )
