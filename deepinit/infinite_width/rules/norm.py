"""RMSNorm and LayerNorm: cov' = (cov - m m') / (s s'), s^2 = variance + eps."""

import jax.numpy as jnp

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.norms import LayerNorm, RMSNorm
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import Kernel, Sides, State, each_block, on_ntk, without_means


@INFINITE.rule(RMSNorm)
def _rms_norm(layer: RMSNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    del shape, depth, path
    scale = 1.0 / jnp.sqrt(state.variance + layer.eps)

    def normalized(kernel: Kernel, scale: Sides) -> Kernel:
        factor = scale.left * scale.right
        return Kernel(factor * kernel.cov, on_ntk(lambda ntk: factor * ntk, kernel.ntk))

    gain = state.gain + layer.gain
    return each_block(state, normalized, scale, gain=gain, mean=scale * state.mean)


@INFINITE.rule(LayerNorm)
def _layer_norm(layer: LayerNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    def with_biases(kernel: Kernel) -> Kernel:
        return Kernel(kernel.cov, on_ntk(lambda ntk: ntk + 1.0, kernel.ntk))

    state = without_means(state, state.mean, mean=jnp.zeros_like(state.mean))
    after = _rms_norm(RMSNorm(layer.eps, layer.gain), state, shape, depth, path)
    return each_block(after, with_biases) if layer.gain else after
