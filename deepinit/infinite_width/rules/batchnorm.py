"""Batch norms: the batch is all inputs and positions."""

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import BatchNorm
from deepinit.infinite_width.neuron_norms import check_tangents, norm_of
from deepinit.infinite_width.rules_table import INFINITE, require_gaussian
from deepinit.infinite_width.states import State


@INFINITE.rule(BatchNorm)
def _batch_norm(layer: BatchNorm, state: State, shape: Shape, depth: int, path: str) -> State:
    del depth
    rows = len(state.same) * shape.num_positions
    if not state.square:
        given = "kernels between two lists of inputs, or blocks of one"
        raise refuse(path, layer, given, "the whole batch at once", "Give one list of inputs.")
    if rows < 2:
        remedy = "Give two inputs, or write LayerNorm."
        raise refuse(path, layer, "a batch of one row", "two rows or more", remedy)
    require_gaussian(layer, state, path)
    check_tangents(layer, state, rows, f"a batch of {rows} rows", path)
    return norm_of(layer, state)
