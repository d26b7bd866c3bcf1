"""RMSNorm and LayerNorm: cov' = (cov - m m') / (s s'), s^2 = variance + eps."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.norms import LayerNorm, RMSNorm
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, Sides, State, each_block, on_ntk


@INFINITE.rule(RMSNorm)
def _rms_norm(layer: RMSNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    del shape, depth, path
    scales = tuple(1.0 / jnp.sqrt(q + layer.eps) for q in state.variances)

    def normalized(kernel: Kernel, scale: Sides) -> Kernel:
        factor = scale.left * scale.right
        return Kernel(factor * kernel.cov, on_ntk(lambda ntk: factor * ntk, kernel.ntk))

    means = (scale * mean for scale, mean in zip(scales, state.means, strict=True))
    after = each_block(state, normalized, scales, gain=state.gain + layer.gain)
    return after.with_means(*means)


@INFINITE.rule(LayerNorm)
def _layer_norm(layer: LayerNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    def centred(kernel: Kernel, mean: Sides) -> Kernel:
        return Kernel(kernel.cov - mean.left * mean.right, kernel.ntk)

    state = each_block(state, centred, state.means).without_means()
    after = _rms_norm(RMSNorm(layer.eps, layer.gain), state, shape, depth, path)
    if not layer.gain:
        return after
    return each_block(after, lambda kernel: Kernel(kernel.cov, on_ntk(_plus_one, kernel.ntk)))


def _plus_one(ntk):
    return ntk + 1.0
