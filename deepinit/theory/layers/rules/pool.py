"""Mean pools and Flatten: fixed linear maps of the rows."""

import itertools
from functools import lru_cache

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.pooling import Flatten, Pool
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.rules_table import FIRST_ORDER
from deepinit.theory.layers.state import Settled, State, num_rows, settle
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Pool)
def _pool(layer: Pool, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    del depth
    if layer.kind == "max":
        given = "maxima of dependent columns, of unknown fourth moments, at order 1/width"
        remedy = "Take the mean, simulate, or take the infinite-width limit."
        raise refuse(path, layer, given, "kind='mean'", remedy)
    inputs = num_rows(state) // shape.num_positions
    matrix = jnp.asarray(np.kron(np.eye(inputs), _averages(layer, shape.positions or ())))
    rows = settle(state, tape)
    return Settled(vector_of(matrix @ matrix_of(rows.gram) @ matrix.T), matrix @ rows.mean)


@lru_cache(maxsize=64)
def _averages(layer: Pool, positions: tuple[int, ...]) -> np.ndarray:
    """[windows, positions], rows of sum 1; padded positions do not count."""
    whole = np.ones((1, 1))
    for length in positions:
        size, stride = layer.size or length, layer.stride or layer.size or length
        count = (length + 2 * layer.padding - size) // stride + 1
        matrix = np.zeros((count, length))
        for window, offset in itertools.product(range(count), range(size)):
            place = window * stride + offset - layer.padding
            if 0 <= place < length:
                matrix[window, place] = 1.0
        whole = np.kron(whole, matrix / matrix.sum(axis=1, keepdims=True))
    return whole


@FIRST_ORDER.rule(Flatten)
def _flatten(
    layer: Flatten, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del layer, depth, path
    rows, count = settle(state, tape), shape.num_positions
    inputs = num_rows(rows) // count
    blocks = matrix_of(rows.gram).reshape(inputs, count, inputs, count)
    gram = jnp.einsum("apbp->ab", blocks) / count
    return Settled(vector_of(gram), rows.mean.reshape(inputs, count).mean(axis=1))
