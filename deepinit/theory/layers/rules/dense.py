"""Dense layers: columns of R = v G + b."""

from deepinit.core.layers.layer import Shape
from deepinit.core.layers.linear import Dense, MeanDense
from deepinit.core.layers.pooling import Pool
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.rules_table import FIRST_ORDER, apply, entry_variance
from deepinit.theory.layers.state import Pending, State, settle
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Dense)
def _dense(layer: Dense, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    fan_in = shape.width or 1
    scale = fan_in * entry_variance(layer, "law", fan_in, depth, path)
    bias = entry_variance(layer, "bias", 1, depth, path)
    return Pending(scale * settle(state, tape).gram + bias, layer.width, ColumnLaw())


@FIRST_ORDER.rule(MeanDense)
def _mean_dense(
    layer: MeanDense, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    if shape.positions:
        state = apply(Pool("mean"), state, shape, depth, path, tape)
    return _dense(layer, state, shape, depth, path, tape)
