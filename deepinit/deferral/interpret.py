"""Equations are evaluated on arrays that are formed and on arrays that are not."""

from typing import Any

from deepinit.deferral.program import Constant, Equation, Operand, Program
from deepinit.deferral.session import Session
from deepinit.deferral.values import Implicit, NotDeferred

# Rules that also hold where all operands are formed.
_ALWAYS = frozenset({"draw", "broadcast_in_dim", "dot_general", "scan"})


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
        if seen and equation.outputs and set(equation.outputs) <= seen.keys():
            continue
        values = [value(operand) for operand in equation.inputs]
        known |= zip(equation.outputs, evaluated(session, number, equation, values), strict=True)
    return [value(operand) for operand in program.outputs]


def evaluated(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """Outputs of one equation."""
    name = equation.primitive.name if equation.draw is None else "draw"
    rule = session.rules.get(name)
    is_implicit = any(isinstance(value, Implicit) for value in values)
    reason = f"no rule for {name}"
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
