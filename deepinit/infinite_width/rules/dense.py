"""Dense layers: cov' = v cov + b, ntk' = cov' + v ntk."""

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Dense, MeanDense
from deepinit.infinite_width.random_maps import random_map
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State
from deepinit.infinite_width.windows import mean_over_positions


@INFINITE.rule(Dense)
def _dense(layer: Dense, state: State, shape: Shape, depth: int, path: str) -> State:
    assert shape.width is not None
    return random_map(layer, state, shape.width, depth, path)


@INFINITE.rule(MeanDense)
def _mean_dense(layer: MeanDense, state: State, shape: Shape, depth: int, path: str) -> State:
    return _dense(layer, mean_over_positions(state), shape, depth, path)
