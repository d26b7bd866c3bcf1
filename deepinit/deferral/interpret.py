"""Equations are evaluated on arrays that are formed and on arrays that are not."""

from typing import Any

from deepinit.deferral.program import Constant, Equation, Operand, Program
from deepinit.deferral.session import Session
from deepinit.deferral.together import together
from deepinit.deferral.values import Blocks, Flipped, Implicit, NotDeferred

# Rules that also hold where all operands are formed.
_ALWAYS = frozenset({"draw", "broadcast_in_dim", "dot_general", "conv_general_dilated", "scan"})

# Values with rules of their own, under names with these words.
_VIEWS: dict[type, str] = {Flipped: "reversed", Blocks: "concatenated"}


def run(
    session: Session, program: Program, inputs: tuple[Any, ...], seen: dict[int, Any] | None = None
) -> list[Any]:
    """Outputs, arrays or `Implicit`; None for what nobody needs.

    Args:
        seen: variables that are known before.
    """
    known: dict[int, Any] = dict(zip(program.inputs, inputs, strict=True)) | (seen or {})

    def value(operand: Operand) -> Any:
        return operand.value if isinstance(operand, Constant) else known.get(operand)

    for number, equation in enumerate(program.equations):
        if equation.outputs and set(equation.outputs) <= known.keys():
            continue
        values = [value(operand) for operand in equation.inputs]
        several = together(program, number, values, known)
        if several is None:
            found, outputs = evaluated(session, number, equation, values), equation.outputs
        else:
            (result,) = evaluated(session, number, several.equation, several.values)
            found, outputs = several.parts(session.formed(result, "split")), several.outputs
        known |= zip(outputs, found, strict=True)
    return [_without_view(session, value(operand)) for operand in program.outputs]


def _without_view(session: Session, value: Any) -> Any:
    return session.formed(value, _VIEWS[type(value)]) if type(value) in _VIEWS else value


def evaluated(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Outputs of one equation."""
    name = equation.primitive.name if equation.draw is None else "draw"
    views = {_VIEWS[type(value)] for value in values if type(value) in _VIEWS}
    is_implicit = bool(views) or any(isinstance(value, Implicit) for value in values)
    rule = session.rules.get(" ".join((name, *views)))
    reason = " ".join(("no rule for", name, *views))
    if rule is not None and (is_implicit or name in _ALWAYS):
        try:
            return rule(session, number, equation, values)
        except NotDeferred as refusal:
            reason = str(refusal)
    return bind(equation, [session.formed(value, reason) for value in values])


def bind(equation: Equation, values: list[Any]) -> list[Any]:
    """Outputs by JAX."""
    if equation.source is not None:
        values = bind(equation.source, values)
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # by version of JAX
    found = equation.primitive.bind(*functions, *values, **params)
    return list(found) if equation.primitive.multiple_results else [found]
