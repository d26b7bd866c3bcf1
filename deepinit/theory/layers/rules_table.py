"""The table of first-order rules, the application of a rule, and common refusals."""

from collections.abc import Callable
from typing import Any

from deepinit.core.errors import SpecError
from deepinit.core.laws import Law
from deepinit.core.layers.layer import Layer, Shape, Table, refuse
from deepinit.core.layers.program import expanded
from deepinit.theory.layers.columns import ColumnLaw
from deepinit.theory.layers.normed import Norm
from deepinit.theory.layers.state import Normed, Pending, Settled, State
from deepinit.theory.layers.tape import Tape

FirstOrderRule = Callable[[Any, State, Shape, int, str, Tape], State]
FIRST_ORDER: Table[FirstOrderRule] = Table("first_order")


def apply(layer: Layer, state: State, shape: Shape, depth: int, path: str, tape: Tape) -> State:
    """State after a layer, by its rule or its expansion's.

    Args:
        shape: of the layer's input.
        depth: of the network, for laws and scales.
        path: of the layer, for messages.

    Raises:
        SpecError: a layer without a rule, or whose rule refuses.
    """
    tape.enter(layer)
    rule = FIRST_ORDER.get(layer)
    if rule is None and (simpler := expanded(layer, shape)) != layer:
        after = apply(simpler, state, shape, depth, path, tape)
    else:
        after = FIRST_ORDER.find(layer, path)(layer, state, shape, depth, path, tape)
    tape.leave(after)
    return after


def require_pending(layer: Layer, state: State, path: str, *, in_groups: bool = False) -> Pending:
    """The pending columns before a function of neurons; `in_groups`: of group norms too.

    Raises:
        SpecError: settled rows, whose columns are not independent.
    """
    if isinstance(state, Pending):
        if state.law.channels == 1 or in_groups:
            return state
        allowed = "activations, then a random linear layer"
        raise refuse(path, layer, "neurons of a group norm", allowed, "Simulate.")
    remedy = "Put di.layers.Dense before it, simulate, or take the infinite-width limit."
    allowed = "independent columns of a random linear map"
    raise refuse(path, layer, _settled(state), allowed, remedy)


def require_columns(
    layer: Layer, state: State, shape: Shape, path: str, *, in_groups: bool = False
) -> Pending | Normed:
    """The columns before a function of neurons: independent, or made dependent by a norm.

    Raises:
        SpecError: other settled rows.
    """
    if isinstance(state, Normed):
        return state
    if isinstance(state, Settled) and state.frame in ("rms", "centred"):
        width = shape.width or 1
        return Normed(state.gram, width, ColumnLaw(), width, state.frame)
    return require_pending(layer, state, path, in_groups=in_groups)


def after_norm(layer: Layer, state: Pending, norm: Norm, path: str) -> Pending:
    """Columns normed over rows.

    Raises:
        SpecError: functions of neurons before the norm.
    """
    if not state.law.is_gaussian:
        given = "functions of neurons before it, at order 1/width"
        raise refuse(path, layer, given, "a random linear layer directly before it", "Simulate.")
    variance = state.law.scale**2 * state.variance
    return Pending(variance, state.width, ColumnLaw(((norm,),)))


def _settled(state: Settled | Normed) -> str:
    if state.frame:
        return "neurons that a norm has made dependent, at order 1/width"
    return "neurons of a sum, norm or mean, which are dependent at order 1/width"


def entry_variance(layer: Layer, name: str, fan_in: int, depth: int, path: str) -> float:
    """Variance of an entry of the law `name`; 0 for None.

    Raises:
        SpecError: a law that is not normal.
    """
    law: Any = getattr(layer, name)
    if law is None or (isinstance(law, Law) and law.variance == 0.0 and not law.value):
        return 0.0
    if not (isinstance(law, Law) and law.is_gaussian):
        given = f"a {name} of the law {getattr(law, 'name', 'matrix')!r}, at order 1/width"
        raise refuse(path, layer, given, "normal laws", "Take di.normal, or simulate.")
    return law.entry_variance(fan_in, depth)


def unresolved(error: float) -> SpecError:
    """The refusal of a quadrature."""
    what = "an activation or softmax that the quadrature does not resolve"
    given = f"{what} (relative error {error:.1g})"
    allowed = "functions that bend on scales of order 1, and rows that are not nearly parallel"
    remedy = "Take smaller variances or scores, larger angles, or simulate."
    return SpecError(given, allowed, remedy)
