"""Softmax attention: what lies between the linear maps to (q, k, v) and the linear map behind."""

import itertools
from typing import Any

from deepinit.deferral.program import Equation
from deepinit.reading.attention_values import Arms, core_of
from deepinit.reading.constants import uniform_value
from deepinit.reading.dense import dense
from deepinit.reading.pieces import Core, Match, Matrix, Spot
from deepinit.reading.refusals import name_of, parameters_of, refusal
from deepinit.reading.scope import PARAMETER
from deepinit.reading.steps import steps

_ORDERS = ("transpose", "reshape", "squeeze", "expand_dims")


def attention(spot: Spot) -> Match | None:
    """Attention of three linear maps of one input, or of the columns of one linear map.

    Raises SpecError: attention that no layer is equal to (biases, grouped heads, other masks).
    """
    scope, core_end = spot.scope, _core_end(spot)
    if core_end is None:
        return None
    equations = scope.between(spot.start, spot.chain[core_end])
    name = name_of(scope, equations[-1:], spot.before)
    if spot.positions != 1:
        raise refusal(name, "attention that is not over one axis of positions")
    numbers = _maps_from_start(spot, equations)
    matrices = tuple(_matrix(spot, number) for number in numbers)
    biases = _biases(spot, equations, set(numbers))
    if len(matrices) not in (0, 3) or None in matrices or biases is None:
        what = "attention with other parameters than query, key and value kernels"
        raise refusal(name, what, remedy="Biases must start at 0.")
    inputs = numbers or (spot.start,)
    shapes = tuple(scope.shape(number) for number in inputs)
    constants = _constants(equations)
    heads = {size for eq in equations for size in eq.shapes[0].shape[1:]}
    for end in reversed(_ends(spot, core_end)):
        own = steps(scope.makers, (*inputs, *biases), spot.chain[end])
        if own is None:
            continue
        sizes = tuple(scope.parameters[number].shape for number in biases)
        after = scope.shape(spot.chain[end])
        core = core_of(Arms(own, shapes, sizes, after, frozenset(heads), constants))
        if core is not None:
            ordered: Any = tuple(matrices[place] for place in core.order) if matrices else ()
            piece = Core(name, *core[:4], arms=ordered, columns=core.columns)
            return Match((piece,), end, spot.positions)
    what = "attention that is not softmax(c q.k) v of equal heads, with no mask or a causal one"
    raise refusal(name, what, remedy="Give the masks that are True everywhere, or none.")


def _core_end(spot: Spot) -> int | None:
    """Where a softmax ends with a product of values with each other, directly or behind
    transposes and reshapes; None where there is none.
    """
    for at in range(spot.at, len(spot.chain) - 1):
        equations = spot.scope.between(spot.chain[at], spot.chain[at + 1])
        if _is_attention(spot, equations):
            return at + 1
        if len(equations) != 1 or equations[0].primitive.name not in _ORDERS:
            return None
    return None


def _is_attention(spot: Spot, equations: tuple[Equation, ...]) -> bool:
    products = [equation for equation in equations if _mixes(spot, equation)]
    has_exp = any(equation.primitive.name == "exp" for equation in equations)
    return has_exp and len(products) >= 2 and _mixes(spot, equations[-1])


def _mixes(spot: Spot, equation: Equation) -> bool:
    is_product = equation.primitive.name == "dot_general"
    return is_product and all(map(spot.scope.is_stream, equation.inputs))


def _maps_from_start(spot: Spot, equations: tuple[Equation, ...]) -> tuple[int, ...]:
    return tuple(
        equation.outputs[0]
        for equation in equations
        if equation.primitive.name == "dot_general"
        and spot.start in equation.inputs
        and any(spot.scope.marks_of(own) == {PARAMETER} for own in equation.inputs)
    )


def _matrix(spot: Spot, number: int) -> Matrix | None:
    found = dense(spot._replace(chain=(spot.start, number), at=0))
    piece = None if found is None else found.pieces[0]
    return piece if isinstance(piece, Matrix) else None


def _biases(spot: Spot, equations: tuple[Equation, ...], maps: set[int]) -> tuple[int, ...] | None:
    """Other parameters, if all start at 0 and are added; None if not."""
    scope, found = spot.scope, []
    for equation in equations:
        if maps & set(equation.outputs):
            continue
        for operand in equation.inputs:
            marks = scope.marks_of(operand)
            if marks and not scope.is_stream(operand):
                names = parameters_of(scope, operand)
                if marks != {PARAMETER} or equation.primitive.name not in ("add", "add_any"):
                    return None
                found += [own for own, item in scope.parameters.items() if item.name in names]
    laws = [scope.parameters[number].law for number in found]
    is_zero = all(law.name == "constant" and law.mean == 0.0 for law in laws)
    return tuple(dict.fromkeys(found)) if is_zero else None


def _ends(spot: Spot, first: int) -> list[int]:
    """The end of the softmax part, and of transposes and reshapes behind it."""
    found = [first]
    for before, after in itertools.pairwise(spot.chain[first:]):
        equations = spot.scope.between(before, after)
        if len(equations) != 1 or equations[0].primitive.name not in _ORDERS:
            break
        found.append(found[-1] + 1)
    return [end for end in found if spot.scope.shape(spot.chain[end])[:2] == spot.shape[:2]]


def _constants(equations: tuple[Equation, ...]) -> tuple[float, ...]:
    """Numbers that scores may be multiplied by."""
    values: list[Any] = [
        uniform_value(operand)
        for equation in equations
        if equation.primitive.name in ("mul", "div")
        for operand in equation.inputs
    ]
    return tuple(dict.fromkeys(abs(value) for value in values if value))
