"""Gates: columns F(u) phi(F(g)), u and g independent."""

import dataclasses

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.neuronwise import Gate
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.rules_table import FIRST_ORDER, require_columns
from deepinit.theory.layers.state import State
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Gate)
def _gate(layer: Gate, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    del depth, tape
    columns = require_columns(layer, state, shape, path)
    if not columns.law.is_gaussian or columns.law.scale != 1.0 or layer.phi.jumps:
        given = "a gate of neurons that are not those of a random linear map, or with jumps"
        raise refuse(path, layer, given, "di.layers.Dense before it", "Simulate.")
    law = ColumnLaw(((), (layer.phi,)))
    return dataclasses.replace(columns, width=columns.width // 2, law=law)
