"""GroupNorm at a fixed number of groups, of infinitely many channels.

LayerNorm over channels and positions of one input: m, q the means of E h, E h^2 over positions,
s^2 = q - m^2 + eps, cov' = (cov - m E h' - m' E h + m m') / (s s'), ntk' = ntk / (s s').
"""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import GroupNorm
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, Sides, State, each_block, on_ntk

_FEWEST = 8  # channels of a group


@INFINITE.rule(GroupNorm)
def _group_norm(layer: GroupNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth
    channels = (shape.width or 0) // layer.groups
    if channels < _FEWEST:
        given = f"groups of {channels} channels, far from the limit of large groups"
        raise refuse(path, layer, given, f"{_FEWEST} channels or more", "Take fewer groups.")
    broadcast = lambda part: jnp.broadcast_to(part, state.mean.shape)
    centre = broadcast(state.mean.mean(1, keepdims=True))
    square = state.variance.mean(1, keepdims=True) - centre**2
    scale = 1.0 / jnp.sqrt(square + layer.eps)

    def normed(kernel: Kernel, scale: Sides, centre: Sides, mean: Sides) -> Kernel:
        factor = scale.left * scale.right
        products = centre.left * mean.right + mean.left * centre.right
        cov = kernel.cov - products + centre.left * centre.right
        bias = 1.0 if layer.gain else 0.0
        return Kernel(factor * cov, on_ntk(lambda ntk: factor * ntk + bias, kernel.ntk))

    after = scale * (state.mean - centre)
    changes = {"gain": state.gain + layer.gain, "mean": after}
    return each_block(state, normed, scale, centre, state.mean, **changes)
