"""Sequential, Block and Repeat."""

from deepinit.core.layers.containers import Repeat, Sequential
from deepinit.core.layers.layer import Shape
from deepinit.infinite_width.rules_table import INFINITE
from deepinit.infinite_width.states import State
from deepinit.infinite_width.walk import walk


@INFINITE.rule(Sequential, Repeat)
def _container(
    layer: Sequential | Repeat, state: State, shape: Shape, depth: int, path: str
) -> State:
    return walk(layer, state, shape, depth, path)[0]
