"""Gates: columns F(u) phi(F(g)), u and g independent."""

from deepinit.core.layers.layer import Shape, refuse
from deepinit.core.layers.neuronwise import Gate
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.rules_table import FIRST_ORDER, require_pending
from deepinit.theory.layers.state import Pending, State
from deepinit.theory.layers.tape import Tape


@FIRST_ORDER.rule(Gate)
def _gate(layer: Gate, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    del shape, depth, tape
    state = require_pending(layer, state, path)
    if not state.law.is_gaussian or state.law.scale != 1.0 or layer.phi.jumps:
        given = "a gate of neurons that are not those of a random linear map, or with jumps"
        raise refuse(path, layer, given, "di.layers.Dense before it", "Simulate.")
    return Pending(state.variance, state.width // 2, ColumnLaw(((), (layer.phi,))))
