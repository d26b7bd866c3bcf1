"""Names of drawn arrays for a reader."""

import collections
from typing import Any

from deepinit.deferral.listing import SMALL
from deepinit.deferral.program import Program
from deepinit.deferral.session import Decisions

Draws = frozenset[Any]

# What gives a drawn array another form: the array itself is used later.
_VIEWS = frozenset({"mul", "div", "neg", "add", "sub", "erf_inv", "convert_element_type", "name"})
_VIEWS |= {"transpose", "reshape", "squeeze", "slice", "split", "unstack"}
_VIEWS |= {"broadcast_in_dim", "copy"}


def labels(program: Program, decisions: Decisions) -> dict[Any, str]:
    """Different labels: the module of the draw, else that of its first use, else the law.

    With the shape if there is no module, and for small arrays.
    """
    uses, _ = _first_uses(program, (), {})
    plain = {}
    for name, array in decisions.drawn.items():
        own, shape = array.name or uses.get(name, ""), f" {list(array.shape)}"
        is_small = decisions.explicit.get(name) == SMALL
        plain[name] = own or array.law, shape if is_small or not own else ""
    total, count = collections.Counter(plain.values()), collections.Counter[Any]()
    found = {}
    for name, parts in plain.items():
        count[parts] += 1
        found[name] = f"#{count[parts]}".join(parts) if total[parts] > 1 else "".join(parts)
    return found


def _first_uses(
    program: Program, path: tuple[int, ...], views: dict[int, Draws]
) -> tuple[dict[Any, str], list[Draws]]:
    """Modules of first uses of draws; draws that the outputs are views of.

    Args:
        views: draws that the inputs are views of.
    """
    views, found = dict(views), dict[Any, str]()
    none = frozenset[Any]()
    of = lambda operand: views.get(operand, none) if isinstance(operand, int) else none
    for number, equation in enumerate(program.equations):
        seen = none.union(*map(of, equation.inputs))
        outputs: list[Draws] = [none] * len(equation.outputs)
        if equation.draw is not None:
            outputs = [frozenset({("draw", path, number)})]
        elif equation.body is not None:
            own = dict(zip(equation.body.inputs, map(of, equation.inputs), strict=True))
            uses, outputs = _first_uses(equation.body, (*path, number), own)
            found = uses | found
        elif seen and equation.name:
            found = dict.fromkeys(seen, equation.name) | found
        elif equation.primitive.name in _VIEWS:
            outputs = [seen] * len(equation.outputs)
        views |= zip(equation.outputs, outputs, strict=True)
    return found, [of(operand) for operand in program.outputs]
