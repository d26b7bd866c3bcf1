"""Batch norms: the batch is all inputs and positions."""

from deepinit.core.activations import linear
from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import BatchNorm
from deepinit.infinite_width.batch_norms import batch_normed
from deepinit.infinite_width.rules_table import COUPLES_INPUTS, INFINITE, require_gaussian
from deepinit.infinite_width.states import Source, State

COUPLES_INPUTS.add(BatchNorm)


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
    if state.with_ntk and state.gain:
        given = "the NTK of trained gains directly before it"
        raise refuse(path, layer, given, "gain=False, or the NNGP kernel", "Write gain=False.")
    if state.with_ntk and layer.eps == 0 and rows <= 3:
        given = f"the NTK of a batch of {rows} rows with eps=0, which is infinite"
        raise refuse(path, layer, given, "eps > 0, or larger batches", "Write eps=1e-5.")
    return batch_normed(linear, Source(state, layer))
