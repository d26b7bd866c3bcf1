"""Means and maxima over positions."""

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.pooling import Pool
from deepinit.infinite_width.max_pool import max_pooled
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State
from deepinit.infinite_width.windows import mean_over_positions, pooled


@INFINITE.rule(Pool)
def _pool(layer: Pool, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth
    if layer.kind == "max":
        return max_pooled(layer, state, shape, path)
    if layer.size is None:
        return mean_over_positions(state)
    assert shape.positions
    return pooled(state, shape.positions, layer.size, layer.stride or layer.size, layer.padding)
