"""Sequential, Block and Repeat inside a layer."""

from deepinit.core.layers.containers import Repeat, Sequential, child_paths, joined
from deepinit.core.layers.layer import Shape, output_shape
from deepinit.theory.layers.rules_table import FIRST_ORDER, apply
from deepinit.theory.layers.state import State
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Sequential)
def _sequential(
    layer: Sequential, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    for child, child_path in zip(layer.layers, child_paths(layer, path), strict=True):
        state = apply(child, state, shape, depth, child_path, tape)
        shape = output_shape(child, shape, child_path)
    return state


@FIRST_ORDER.rule(Repeat)
def _repeat(layer: Repeat, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    for number in range(1, layer.times + 1):
        inside = joined(path, str(number))
        state = apply(layer.layer, state, shape, depth, inside, tape)
        shape = output_shape(layer.layer, shape, inside)
    return state
