"""GroupNorm: groups of channels, independent given R; one group is LayerNorm over all of an input.

Limit and expansion: the number of groups grows, channels of a group stay.
"""

import jax.numpy as jnp
import numpy as np

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.norms import GroupNorm, LayerNorm
from deepinit.theory.layers.entries import matrix_of, vector_of
from deepinit.theory.layers.normed import LARGEST_TUPLE, Norm
from deepinit.theory.layers.rules_table import FIRST_ORDER, after_norm, apply, require_pending
from deepinit.theory.layers.state import Settled, State, num_rows, settle
from deepinit.theory.layers.tape import Tape

_FEWEST = 6  # values of a group, of several inputs: 1/r^4 must have a mean


@FIRST_ORDER.rule(GroupNorm)
def _group_norm(
    layer: GroupNorm, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    positions = shape.num_positions
    if layer.groups == positions == 1:
        return apply(LayerNorm(layer.eps, layer.gain), state, shape, depth, path, tape)
    if layer.groups == 1:
        return _whole(layer, state, positions, tape)
    state = require_pending(layer, state, path)
    rows, channels = num_rows(state), int(state.width // layer.groups)
    values, fewest = channels * positions, 2 if rows == positions else _FEWEST
    if values < fewest:
        given = f"groups of {values} values (channels x positions)"
        raise refuse(path, layer, given, f"{fewest} or more", "Take fewer groups, or simulate.")
    if channels * rows > LARGEST_TUPLE:
        given = f"groups of {channels} channels x {rows} rows (inputs x positions)"
        allowed = f"at most {LARGEST_TUPLE} values, or one group"
        raise refuse(path, layer, given, allowed, "Take more groups, or simulate.")
    return after_norm(layer, state, Norm(layer.eps, channels, positions), path)


def _whole(layer: GroupNorm, state: State, positions: int, tape: Tape) -> Settled:
    """One group: (G_ab - m_a M_b - M_a m_b + M_a M_b) / (s_a s_b), M and s of inputs."""
    rows = settle(state, tape)
    gram, mean = matrix_of(rows.gram), rows.mean
    inputs = len(mean) // positions
    share = np.kron(np.eye(inputs), np.full((positions, positions), 1.0 / positions))
    centre = share @ mean
    square = share @ jnp.diagonal(gram) - centre**2
    size = jnp.sqrt(square + layer.eps)
    crossed = jnp.outer(mean, centre)
    centred = gram - crossed - crossed.T + jnp.outer(centre, centre)
    return Settled(vector_of(centred / jnp.outer(size, size)), (mean - centre) / size)
