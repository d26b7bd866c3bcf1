"""GroupNorm, of groups of infinitely many channels or of less than 8.

Small groups are independent: averages over their columns (`group_averages`).

Large ones: LayerNorm over channels and positions of one input: with m and q the means of E h and
E h^2 over positions, s^2 = q - m^2 + eps, cov' = (cov - m E h' - m' E h + m m') / (s s'), ntk' =
ntk / (s s').
"""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import GroupNorm
from deepinit.infinite_width.neuron_norms import check_tangents, norm_of
from deepinit.infinite_width.rules_table import INFINITE, require_gaussian
from deepinit.infinite_width.states import Kernel, Sides, State, each_block, on_ntk

_FEWEST = 8  # channels of a large group


@INFINITE.rule(GroupNorm)
def _group_norm(layer: GroupNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth
    channels = (shape.width or 0) // layer.groups
    if channels < _FEWEST:
        return _of_small_groups(layer, state, shape.num_positions, channels, path)
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


def _of_small_groups(
    layer: GroupNorm, state: State, positions: int, channels: int, path: str
) -> State:
    require_gaussian(layer, state, path)
    count = channels * positions
    if count < 2:
        given, remedy = "groups of one number", "Take fewer groups."
        raise refuse(path, layer, given, "two channels or positions", remedy)
    check_tangents(layer, state, count, f"groups of {count} numbers", path)
    return norm_of(layer, state, channels)
