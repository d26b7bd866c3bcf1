"""Messages on layers that no layer of `di.layers` is equal to."""

from collections.abc import Iterable

from deepinit.core.errors import SpecError
from deepinit.deferral.program import Equation
from deepinit.reading.programs import layer_name
from deepinit.reading.scope import PARAMETER, Scope

_KINDS = (
    "dense and convolutional maps, embeddings, elementwise activations, gates, norms, pooling, "
    "attention, residual sums, loops over equal blocks"
)
_REMEDY = "di.simulate measures the network as it is."


def refusal(name: str, what: str, allowed: str = _KINDS, remedy: str = "") -> SpecError:
    """Of the layer `name` of the model, with the reason."""
    return SpecError(f"{name}: {what}", allowed, f"{remedy} {_REMEDY}".strip())


def name_of(scope: Scope, equations: Iterable[Equation], before: str) -> str:
    """The layer that equations belong to: by its parameters, else by modules, else by neighbours.

    Args:
        before: the layer before them; may be empty.
    """
    equations = tuple(equations)
    for equation in equations:
        for operand in equation.inputs:
            if scope.marks_of(operand) == {PARAMETER}:
                parameters = parameters_of(scope, operand)
                if parameters:
                    return layer_name(parameters[0])
    module = next((equation.name for equation in reversed(equations) if equation.name), "")
    if "/" in module or not before:
        return module or "the first layer"
    return f"{module}, after {before}" if module else f"after {before}"


def parameters_of(scope: Scope, operand: object) -> tuple[str, ...]:
    """Names of the parameters that an operand is a function of."""
    found, pending, seen = [], [operand], set()
    while pending:
        number = pending.pop()
        if not isinstance(number, int) or number in seen:
            continue
        seen.add(number)
        if number in scope.parameters:
            found.append(scope.parameters[number].name)
        elif number in scope.makers:
            pending += scope.makers[number].inputs
    return tuple(sorted(found))


def listed(equations: Iterable[Equation]) -> str:
    """Names of the operations."""
    names = dict.fromkeys(equation.primitive.name for equation in equations)
    return ", ".join(names)
