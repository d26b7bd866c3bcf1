"""Batch norms: functions of a neuron on all rows, inputs x positions."""

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import BatchNorm
from deepinit.theory.layers.normed import Norm
from deepinit.theory.layers.rules_table import FIRST_ORDER, after_norm, require_pending
from deepinit.theory.layers.state import State, num_rows
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(BatchNorm)
def _batch_norm(
    layer: BatchNorm, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del shape, depth, tape
    state = require_pending(layer, state, path)
    if num_rows(state) < 2:
        remedy = "Give two inputs, or write LayerNorm."
        raise refuse(path, layer, "a batch of one row", "two rows or more", remedy)
    return after_norm(layer, state, Norm(layer.eps), path)
