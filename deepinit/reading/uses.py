"""Parameters act once: a second use is the same array, not another draw."""

from deepinit.reading.programs import layer_name
from deepinit.reading.refusals import refusal
from deepinit.reading.scope import PARAMETER, Scope
from deepinit.reading.views import overlap, view_of


def check_uses(scope: Scope) -> None:
    """SpecError: a parameter that acts twice."""
    seen: dict[int, list[tuple[int, object]]] = {}
    for place, equation in enumerate(dict.fromkeys(scope.makers.values())):
        if not any(map(scope.is_stream, equation.inputs)):
            continue
        for operand in equation.inputs:
            if scope.marks_of(operand) != {PARAMETER}:
                continue
            view = view_of(scope, operand)
            part = None if view is None else view.part
            for number in _parameters(scope, operand):
                for other, before in seen.setdefault(number, []):
                    if other != place and overlap(part, before):  # type: ignore[arg-type]
                        name = scope.parameters[number].name
                        what = f"the parameter {name}, which acts more than once"
                        remedy = "Equal blocks with the same weights are di.layers.Tied."
                        raise refusal(layer_name(name), what, remedy=remedy)
                seen[number].append((place, part))


def _parameters(scope: Scope, operand: object) -> set[int]:
    found, pending, seen = set(), [operand], set()
    while pending:
        number = pending.pop()
        if not isinstance(number, int) or number in seen:
            continue
        seen.add(number)
        if number in scope.parameters:
            found.add(number)
        elif number in scope.makers:
            pending += scope.makers[number].inputs
    return found
