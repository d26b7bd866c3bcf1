"""Activations: columns phi(F(z))."""

import dataclasses

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.neuronwise import Activation
from deepinit.theory.layers.rules_table import FIRST_ORDER, require_columns
from deepinit.theory.layers.state import State
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Activation)
def _activation(
    layer: Activation, state: State, shape: Shape, depth: int, path: str, tape: Tape
) -> State:
    del depth, tape
    columns = require_columns(layer, state, shape, path)
    if layer.phi.slopes == (1.0, 1.0):
        return state
    law = columns.law
    if law.masks or len(law.functions) > 1 or law.scale != 1.0:
        given = "a function of neurons after a gate or dropout"
        raise refuse(path, layer, given, "columns of a random linear map", "Simulate.")
    (chain,) = law.functions
    if layer.phi.jumps or (chain and layer.phi.kinks):
        given = f"{layer.phi!r} with jumps, or with kinks after another function"
        raise refuse(path, layer, given, "continuous functions, kinked ones first", "Simulate.")
    return dataclasses.replace(columns, law=law._replace(functions=((*chain, layer.phi),)))
