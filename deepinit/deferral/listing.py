"""The draws of a program, and which of them are explicit however they are used."""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from deepinit.deferral.draws import EXACT, Draw, is_full_precision
from deepinit.deferral.keys import key_sharing
from deepinit.deferral.program import Equation, Program, inner_draws
from deepinit.deferral.scans import layout_of
from deepinit.deferral.session import Decisions, Drawn

_FEWEST = 64  # numbers of a matrix worth deferring
SMALL = "small"


def listed(program: Program, shapes: tuple[Any, ...], gaussianize: bool) -> Decisions:
    """Decisions before any use, for arguments of these shapes."""
    decisions = Decisions()
    for name, equation, copies in _equations(program):
        if equation.draw is not None:
            found = [(name, equation.name, equation.draw, equation.shapes[0])]
        else:
            inside = inner_draws(equation.params, equation.name)
            found = [(("inside", name, place), *own) for place, own in enumerate(inside)]
        for own, label, draw, shape in found:
            law, twins = draw.law, equation.twins
            decisions.drawn[own] = Drawn(label, shape.shape, shape.dtype, law, copies, twins)
            reason = _reason(equation, draw, shape, gaussianize)
            refuse(decisions, [own] if reason else [], reason)
    sharing = key_sharing(program, shapes)
    refuse(decisions, sharing.constant, "drawn from a constant key")
    refuse(decisions, sharing.shared, "its key draws several arrays")
    return decisions


def _reason(equation: Equation, draw: Draw, shape: Any, gaussianize: bool) -> str:
    axes = [size for size in shape.shape[draw.num_key_axes :] if size != 1]
    if math.prod(shape.shape) < _FEWEST or len(axes) < 2:
        return SMALL
    if equation.draw is None:
        return f"drawn inside {equation.primitive.name}"
    if not is_full_precision(shape.dtype):
        return f"drawn in {shape.dtype}"
    return "" if gaussianize or draw.law in EXACT else law_reason(draw.law)


def law_reason(law: str) -> str:
    """Why an array is explicit that `gaussianize` may defer."""
    return f"{law.replace('_', ' ')} law"


def refuse(decisions: Decisions, names: Iterable[Any], reason: str) -> None:
    """Decide that draws are explicit."""
    for name in names:
        decisions.explicit.setdefault(name, reason)


def _equations(
    program: Program, path: tuple[int, ...] = (), copies: int = 1
) -> Iterator[tuple[Any, Equation, int]]:
    """Equations, those in loops too, by the names of draws, and steps of the loops around."""
    for number, equation in enumerate(program.equations):
        if equation.body is None:
            yield ("draw", path, number), equation, copies
        else:
            steps = copies * layout_of(equation).length
            yield from _equations(equation.body, (*path, number), steps)
