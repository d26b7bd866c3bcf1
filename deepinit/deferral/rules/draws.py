"""Drawn arrays."""

import math
from typing import Any

from deepinit.deferral.action import orthogonal
from deepinit.deferral.draws import moments
from deepinit.deferral.interpret import bind
from deepinit.deferral.program import Equation
from deepinit.deferral.session import Drawn, Session, new_base
from deepinit.deferral.values import Gauss, Implicit, broadcast, ein_of

_FEWEST = 64  # numbers of a matrix worth deferring
SMALL = "small"
EXACT = ("normal", "orthogonal")  # laws that are not replaced by others


def _draw(session: Session, number: int, equation: Equation, values: list[Any]) -> list[Any]:
    """A Gauss; the array itself where that is decided."""
    law, shape = equation.draw, equation.shapes[0]
    assert law is not None
    name = ("draw", session.path, number)
    keys, bounds = values[0], values[1:]
    if session.planning:
        size = math.prod(shape.shape)
        label = equation.name or f"{law.law}#{number}"
        session.decisions.drawn[name] = Drawn(label, shape.shape, law.law, size * session.steps)
        if size < _FEWEST or len(shape.shape) - keys.ndim < 2:
            session.decisions.explicit.setdefault(name, SMALL)
        elif law.law not in EXACT and not session.gaussianize:
            session.decisions.explicit.setdefault(name, f"{law.law} law")
    if name in session.decisions.explicit:
        return bind(equation, values)
    base = new_base(session, name, shape.shape, keys, (number,), shape.dtype)
    if law.law == "orthogonal":
        session.bases[name] = orthogonal(base)
    mean, scale = (0.0, law.scale) if law.law in EXACT else moments(law.law, tuple(bounds))
    terms: list[Any] = [Gauss(name, base.axes, scale, (), ())]
    if not (isinstance(mean, float) and mean == 0.0):
        terms.append(broadcast(ein_of(mean), shape.shape))
    return [Implicit(tuple(terms), shape.shape, shape.dtype)]


RULES = {"draw": _draw}
