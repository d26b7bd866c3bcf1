"""Convolutions: Dense on patches."""

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Conv
from deepinit.infinite_width.random_maps import random_map
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State
from deepinit.infinite_width.windows import over_patches


@INFINITE.rule(Conv)
def _conv(layer: Conv, state: State, shape: Shape, depth: int, path: str) -> State:
    positions, channels = shape.positions or (), shape.width or 0
    fan_in = channels * layer.size ** len(positions)
    patch = layer.size, layer.stride, layer.padding
    view = lambda block: over_patches(block, positions, *patch, state.aligned)
    return random_map(layer, state, fan_in, depth, path, view, channels)
