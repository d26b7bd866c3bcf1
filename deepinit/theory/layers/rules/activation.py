"""Activations: columns phi(F(z))."""

import dataclasses

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.neuronwise import Activation
from deepinit.theory.layers.columns import Chain
from deepinit.theory.layers.normed import is_homogeneous
from deepinit.theory.layers.rules_table import FIRST_ORDER, require_columns
from deepinit.theory.layers.state import State, num_rows
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Activation)
def _activation(
    layer: Activation, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del depth, tape
    columns = require_columns(layer, state, shape, path, in_groups=True)
    if layer.phi.slopes == (1.0, 1.0):
        return state
    law = columns.law
    if law.masks or len(law.functions) > 1 or law.scale != 1.0:
        given = "a function of neurons after a gate or dropout"
        raise refuse(path, layer, given, "columns of a random linear map", "Simulate.")
    (chain,) = law.functions
    if law.norm is not None:
        _require_resolved(layer, chain, num_rows(state), path)
    elif layer.phi.jumps or (chain and layer.phi.kinks):
        given = f"{layer.phi!r} with jumps, or with kinks after another function"
        raise refuse(path, layer, given, "continuous functions, kinked ones first", "Simulate.")
    return dataclasses.replace(columns, law=law._replace(functions=((*chain, layer.phi),)))


def _require_resolved(layer: Activation, chain: Chain, rows: int, path: str) -> None:
    """Refuse kinks after a norm over rows, but those of x -> left x, right x of one set."""
    norm, *before = chain
    if not (layer.phi.jumps or layer.phi.kinks):
        return
    if norm.positions not in (0, rows):
        given = f"{layer.phi!r} with kinks or jumps after a group norm of several inputs"
        raise refuse(path, layer, given, "smooth functions", "Take gelu, or simulate.")
    if before or not is_homogeneous((layer.phi,)):
        given = f"{layer.phi!r} with kinks or jumps after a norm over rows"
        allowed = "smooth functions, or relu directly after it"
        raise refuse(path, layer, given, allowed, "Take gelu, or simulate.")
